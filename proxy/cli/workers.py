"""`serve --workers N`: one process holds the data directory and the port and serves nobody; N others, forked from it,
serve. It replaces those that die, passes signals on, and ends when all have ended.

    SIGTERM, SIGINT   to all: each finishes what is running
    SIGHUP            to all, once the config turned out to be a good one
    its own death     seen by all at once, even by a kill: they end, and the directory is free

The parent has no threads and no event loop: what is forked from it is whole.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NoReturn

from proxy.cli.listening import announce, bound
from proxy.cli.logs import set_up_logging
from proxy.cli.options import FAILED
from proxy.cli.pipes import forget_signals, heard_signals, pipe, signals_held_back
from proxy.cli.reload import tell_faults
from proxy.cli.running import GRACE, STOPPING
from proxy.cli.worker import READY, TAKEN, Task, be_worker
from proxy.compose import hold_together
from proxy.core.errors import InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.cli.listening import Listener
    from proxy.compose import Crew
    from proxy.config import Config

logger = logging.getLogger(__name__)

OVERDUE: Final = GRACE + 5
"""Seconds after the signal to stop when a worker is killed that has not ended."""
EARLY: Final = 5.0
"""Seconds; a worker that dies sooner, and so does its replacement, is replaced after a pause."""
LONGEST_PAUSE: Final = 30.0
TRY_AGAIN: Final = 5.0
"""Seconds after the system would give no process."""


def serve_together(config: Config, load_again: Callable[[], Config]) -> int:
    """Serve until told to stop; the exit status, which is the first worker's where that cannot start.

    Raises StorageTrouble, CannotListen.
    """
    server = config.server
    with (
        hold_together(config) as crew,
        bound(server.host, server.port, server.workers) as listeners,
        heard_signals() as signals,
        pipe() as lifeline,  # of which the parent alone keeps the end for writing: who reads sees it die
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
            try:
                self._start(number)
            except OSError as error:
                logger.error("worker %d cannot be started: %s; trying again in %d s", number, error, TRY_AGAIN)  # noqa: TRY400
                self._due[number] = now + TRY_AGAIN

    def _kill_overdue(self) -> None:
        if self._stopping_since is not None and time.monotonic() > self._stopping_since + OVERDUE:
            self._tell_all(signal.SIGKILL)

    def _start(self, number: int) -> None:
        """Raises OSError where the system gives no process."""
        told, tell = os.pipe()
        try:
            with signals_held_back():
                pid = os.fork()
                if pid == 0:
                    self._become_worker(number, told, tell)
        except OSError:
            os.close(told)
            raise
        finally:
            os.close(tell)
        self._workers[pid] = _Worker(number, pid, told, time.monotonic())

    def _become_worker(self, number: int, told: int, tell: int) -> NoReturn:
        try:
            os.close(told)
            self._leave_all_but(number)
            place, listener = self._crew.place(number), self._listeners[number]
            task = Task(number, self._config, self._load_again, place, listener, tell, self._lifeline[0])
        except BaseException:  # this process must not go on as a second parent
            logger.exception("worker %d has failed", number)
            os._exit(FAILED)
        be_worker(task)

    def _leave_all_but(self, number: int) -> None:
        """Close what the parent and the other workers have."""
        forget_signals()
        os.close(self._lifeline[1])
        for worker in self._workers.values():
            worker.close()
        others = {each for listener in self._listeners for each in listener} - set(self._listeners[number])
        for other in others:
            other.close()
