"""SIGHUP: the config is read again while the server runs."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

from proxy.cli.access_lines import write_access_lines
from proxy.cli.logs import set_up_logging
from proxy.config import describe, list_changes
from proxy.core.errors import SidecarError

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.compose import Server
    from proxy.config import Config

logger = logging.getLogger(__name__)


class Reloader:
    """Reads the config again: a good one takes effect with the next request, a bad one changes nothing.

    `load_again` raises InvalidConfig. `on_taken` is told of each good one. Of several processes that do so at the same
    time only the first says what changed.
    """

    def __init__(
        self,
        server: Server,
        config: Config,
        load_again: Callable[[], Config],
        on_taken: Callable[[], None] = lambda: None,
        *,
        first: bool = True,
    ) -> None:
        self._several = config.server.workers > 1
        self._level = logging.INFO if first else logging.DEBUG
        self._on_taken = on_taken
        self._server = server
        self._config = config
        self._load_again = load_again
        self._turn = asyncio.Lock()

    async def reload(self) -> None:
        async with self._turn:
            try:
                config = await asyncio.to_thread(self._load_again)
                await self._server.configure(config)
            except SidecarError as error:
                tell_faults(error)
            else:
                self._take(config)

    def _take(self, config: Config) -> None:
        changes = list_changes(describe(self._config), describe(config))
        set_up_logging(config.log, pid=self._several)
        write_access_lines(self._server.app, config.log.format, pid=self._several)
        self._config = config
        self._on_taken()
        logger.log(self._level, "the config was read again: %s", "; ".join(changes) or "nothing changed")


def tell_faults(error: SidecarError) -> None:
    """Log why a config is not taken."""
    for fault in error.message.splitlines():
        logger.error("the config stays as it was: %s", fault)


def reload_on_hangup(reloader: Reloader) -> None:
    tasks: set[asyncio.Task[None]] = set()

    def start() -> None:
        task = asyncio.create_task(reloader.reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, start)
