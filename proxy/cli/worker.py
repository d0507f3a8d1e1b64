"""One of several serving processes, from its fork to its end; the parent's side is in `workers`."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from aiohttp import web

from proxy.cli.options import FAILED, told_errors, told_faults
from proxy.cli.pipes import let_signals_through
from proxy.cli.reload import Reloader, reload_on_hangup
from proxy.cli.running import running, stop_signal
from proxy.cli.streams import drop_unwritten
from proxy.compose import compose_worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.cli.listening import Listener
    from proxy.compose import Place
    from proxy.config import Config

logger = logging.getLogger(__name__)

READY: Final = b"r"
"""Told to the parent: it answers."""
TAKEN: Final = b"t"
"""Told to the parent: it goes by the config that was read last."""


class Task(NamedTuple):
    """What a worker is to do. `tell` is a pipe to the parent; `lifeline` one that ends when the parent does."""

    number: int
    config: Config
    load_again: Callable[[], Config]
    place: Place
    listener: Listener
    tell: int
    lifeline: int


def be_worker(task: Task) -> NoReturn:
    """Serve, in a process that was just forked, until told to stop; nothing of the parent's goes on here."""
    status = FAILED
    try:
        threading.Thread(target=_end_with, args=(task.lifeline,), name="lifeline", daemon=True).start()
        with told_errors(), told_faults():
            asyncio.run(_serve(task))
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else FAILED
    except BaseException:
        logger.exception("worker %d has failed", task.number)
    finally:
        with suppress(BaseException):
            drop_unwritten()
        os._exit(status)


async def _serve(task: Task) -> None:
    stop = stop_signal()
    async with compose_worker(task.config, task.place) as server:
        taken, first = lambda: _tell(task, TAKEN), task.number == 0
        reload_on_hangup(Reloader(server, task.config, task.load_again, taken, first=first))
        async with running(server, task.config) as runner:
            for each in task.listener:
                await web.SockSite(runner, each).start()
            let_signals_through()  # what came meanwhile is heard now
            _tell(task, READY)
            await stop.wait()


def _tell(task: Task, word: bytes) -> None:
    with suppress(OSError):  # a parent that is gone: the lifeline ends this process
        os.write(task.tell, word)


def _end_with(lifeline: int) -> None:
    """Wait for the parent's death, and end at once: whoever starts the next server finds the directory free."""
    os.read(lifeline, 1)
    os._exit(FAILED)
