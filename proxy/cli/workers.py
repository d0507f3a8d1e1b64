"""`serve --workers N`: one process holds the data directory and the port and serves nobody; N others, forked from it,
serve. It replaces those that die, passes signals on, and ends when all have ended.

    SIGTERM, SIGINT   to all: each finishes what is running
    SIGHUP            to all, once the config turned out to be a good one
    its own death     seen by all at once, even by a kill: they end, and the directory is free

The parent has no threads and no event loop: what is forked from it is whole.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NoReturn

from aiohttp import web

from proxy.cli.listening import announce, bound
from proxy.cli.logs import set_up_logging
from proxy.cli.options import FAILED, told_errors, told_faults
from proxy.cli.reload import Reloader, reload_on_hangup, tell_faults
from proxy.cli.running import GRACE, STOPPING, running, stop_signal
from proxy.cli.streams import drop_unwritten
from proxy.compose import Crew, compose_worker, hold_together
from proxy.core.errors import InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from proxy.cli.listening import Listener
    from proxy.config import Config

logger = logging.getLogger(__name__)

SIGNALS: Final = (*STOPPING, signal.SIGHUP, signal.SIGCHLD)
READY: Final = b"r"
"""A worker tells its parent that it answers."""
TAKEN: Final = b"t"
"""A worker tells its parent that it goes by the config that was read last."""

OVERDUE: Final = GRACE + 5
"""Seconds after the signal to stop when a worker is killed that has not ended."""
EARLY: Final = 5.0
"""Seconds; a worker that dies sooner, and so does its replacement, is replaced after a pause."""
LONGEST_PAUSE: Final = 30.0


def serve_together(config: Config, load_again: Callable[[], Config]) -> int:
    """Serve until told to stop; the exit status, which is the first worker's where that cannot start.

    Raises StorageTrouble, CannotListen.
    """
    server = config.server
    with (
        hold_together(config) as crew,
        bound(server.host, server.port, server.workers) as listeners,
        _signals() as signals,
        _lifeline() as lifeline,
    ):
        return _Parent(config, load_again, crew, listeners, signals, lifeline).run()


@dataclass
class _Worker:
    """A process that serves. `told` is the end of a pipe on which it tells how far it is; None once it is closed."""

    number: int
    pid: int
    told: int | None
    started_at: float
    ready: bool = False

    def close(self) -> None:
        if self.told is not None:
            os.close(self.told)
            self.told = None


class _Parent:
    def __init__(
        self,
        config: Config,
        load_again: Callable[[], Config],
        crew: Crew,
        listeners: Sequence[Listener],
        signals: int,
        lifeline: tuple[int, int],
    ) -> None:
        self._config = self._read_last = config
        self._load_again = load_again
        self._crew = crew
        self._listeners = listeners
        self._signals = signals
        self._lifeline = lifeline
        self._workers: dict[int, _Worker] = {}
        self._early_deaths = [0] * crew.size
        self._due: dict[int, float] = {}
        self._announced = False
        self._stopping_since: float | None = None
        self._status = 0

    def run(self) -> int:
        self._start(0)  # alone: it makes the database, and what keeps one from starting is told once
        while self._workers or self._due:
            self._wait()
            self._start_due()
            self._kill_overdue()
        return self._status

    def _wait(self) -> None:
        told = {worker.told: worker for worker in self._workers.values() if worker.told is not None}
        ready, _, _ = select.select([*told, self._signals], [], [], self._patience())
        for fd in ready:  # the signals last: by them a worker may be buried
            if fd in told:
                self._hear(told[fd], os.read(fd, 64))
            else:
                for number in os.read(fd, 64):
                    self._obey(signal.Signals(number))

    def _patience(self) -> float | None:
        """Seconds until there is something to do unasked."""
        due = list(self._due.values())
        if self._stopping_since is not None:
            due.append(self._stopping_since + OVERDUE)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _hear(self, worker: _Worker, told: bytes) -> None:
        if not told:  # it has ended, or is about to
            worker.close()
        if TAKEN in told:
            self._config = self._read_last
        if READY in told:
            worker.ready = True
            if not self._announced and self._stopping_since is None:
                self._go_on()

    def _go_on(self) -> None:
        """One more worker answers: start the rest, or say that all do."""
        if len(self._workers) < self._crew.size:
            for number in range(len(self._workers), self._crew.size):
                self._start(number)
        elif all(worker.ready for worker in self._workers.values()):
            self._announced = True
            announce(self._config.server.host, self._listeners[0][0].getsockname()[1])

    def _obey(self, number: signal.Signals) -> None:
        if number in STOPPING:
            self._stop()
        elif number is signal.SIGHUP:
            self._reload()
        else:
            self._reap()

    def _stop(self) -> None:
        """No listener is kept: who connects from now on is refused, as soon as the workers have closed theirs."""
        if self._stopping_since is None:
            self._stopping_since = time.monotonic()
            self._due.clear()
            for listener in self._listeners:
                for each in listener:
                    each.close()
            self._tell_all(signal.SIGTERM)

    def _reload(self) -> None:
        try:
            config = self._load_again()
        except InvalidConfig as error:
            tell_faults(error)
            return
        set_up_logging(config.log, pid=True)
        started = self._config.server
        self._read_last = replace(
            config,
            server=replace(
                config.server,
                host=started.host,
                port=started.port,
                data_dir=started.data_dir,
                workers=started.workers,
            ),
        )
        self._tell_all(signal.SIGHUP)

    def _tell_all(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            os.kill(worker.pid, number)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._bury(*ended)

    def _bury(self, pid: int, wait_status: int) -> None:
        worker, status = self._workers.pop(pid), os.waitstatus_to_exitcode(wait_status)
        worker.close()
        if self._stopping_since is not None:
            return
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        if self._announced:
            pause = self._replace(worker)
            logger.error("worker %d (pid %d) ended %s; another follows in %d s", worker.number, pid, how, pause)
        else:
            self._status = status if status > 0 else FAILED
            if status <= 0:  # else it has said why
                logger.error("worker %d (pid %d) ended %s before it could answer", worker.number, pid, how)
            self._stop()

    def _replace(self, worker: _Worker) -> float:
        """The seconds after which another one starts: none at first, more and more where each dies at once."""
        now = time.monotonic()
        early = self._early_deaths[worker.number] + 1 if now - worker.started_at < EARLY else 0
        self._early_deaths[worker.number] = early
        pause = min(2.0 ** (early - 2), LONGEST_PAUSE) if early > 1 else 0.0
        self._due[worker.number] = now + pause
        return pause

    def _start_due(self) -> None:
        now = time.monotonic()
        for number in [number for number, at in self._due.items() if at <= now]:
            del self._due[number]
            self._start(number)

    def _kill_overdue(self) -> None:
        if self._stopping_since is not None and time.monotonic() > self._stopping_since + OVERDUE:
            self._tell_all(signal.SIGKILL)

    def _start(self, number: int) -> None:
        told, tell = os.pipe()
        with _signals_held_back():
            pid = os.fork()
            if pid == 0:
                os.close(told)
                self._become_worker(number, tell)
        os.close(tell)
        self._workers[pid] = _Worker(number, pid, told, time.monotonic())

    def _become_worker(self, number: int, tell: int) -> NoReturn:
        status = FAILED
        try:
            self._leave_parent(number)
            with told_errors(), told_faults():
                asyncio.run(_work(self._config, self._load_again, self._crew, number, self._listeners[number], tell))
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else FAILED
        except BaseException:
            logger.exception("worker %d has failed", number)
        finally:  # whatever happens, nothing of the parent's goes on here
            with suppress(BaseException):
                drop_unwritten()
            os._exit(status)

    def _leave_parent(self, number: int) -> None:
        """Forget what only the parent is to do, and end when it does."""
        signal.set_wakeup_fd(-1)
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        for worker in self._workers.values():
            worker.close()
        own = set(self._listeners[number])
        for other in {each for listener in self._listeners for each in listener} - own:
            other.close()
        read_end, write_end = self._lifeline
        os.close(write_end)
        threading.Thread(target=_end_with, args=(read_end,), name="lifeline", daemon=True).start()


async def _work(
    config: Config, load_again: Callable[[], Config], crew: Crew, number: int, listener: Listener, tell: int
) -> None:
    """What one worker does."""
    stop = stop_signal()
    async with compose_worker(config, crew.place(number)) as server:
        reload_on_hangup(Reloader(server, config, load_again, lambda: _tell(tell, TAKEN), first=number == 0))
        async with running(server, config) as runner:
            for each in listener:
                await web.SockSite(runner, each).start()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # what came meanwhile is heard now
            _tell(tell, READY)
            await stop.wait()


def _tell(tell: int, word: bytes) -> None:
    with suppress(OSError):  # a parent that is gone: the lifeline ends this process
        os.write(tell, word)


def _end_with(lifeline: int) -> None:
    """Wait for the parent's death, and end at once: whoever starts the next server finds the directory free."""
    os.read(lifeline, 1)
    os._exit(FAILED)


@contextmanager
def _signals() -> Iterator[int]:
    """A descriptor that brings the numbers of `SIGNALS` as they come."""
    with _pipe() as (heard, hear):
        os.set_blocking(hear, False)
        before = {each: signal.signal(each, lambda *_: None) for each in SIGNALS}
        signal.set_wakeup_fd(hear, warn_on_full_buffer=False)
        try:
            yield heard
        finally:
            signal.set_wakeup_fd(-1)
            for each, handler in before.items():
                signal.signal(each, handler)


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Around a fork: what comes for the child waits until the child can hear it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@contextmanager
def _lifeline() -> Iterator[tuple[int, int]]:
    """A pipe of which the parent alone keeps the end for writing: who reads from the other sees it die."""
    with _pipe() as ends:
        yield ends


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    with ExitStack() as stack:
        ends = os.pipe()
        for end in ends:
            stack.callback(os.close, end)
        yield ends
