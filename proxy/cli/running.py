"""What each serving process does: it listens, says so, and stops when it is told to."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from proxy.cli import interpreter
from proxy.cli.access_lines import write_access_lines
from proxy.cli.descriptors import connections_within, raise_limit
from proxy.web.connections import Limits, Runner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.compose import Server
    from proxy.config import Config

GRACE: Final = 10
"""Seconds that running requests get to finish after SIGTERM or SIGINT."""
STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


@asynccontextmanager
async def running(server: Server, config: Config) -> AsyncIterator[Runner]:
    """What sites are started on; at the end of the block, running requests get their grace."""
    write_access_lines(server.app, config.log.format, pid=config.server.workers > 1)
    runner = Runner(server.app, _limits(config), shutdown_timeout=GRACE)
    await runner.setup()
    interpreter.settle()
    try:
        yield runner
    finally:
        await runner.cleanup()


def stop_signal() -> asyncio.Event:
    """Set when the process is to stop."""
    stop = asyncio.Event()
    for each in STOPPING:
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    return stop


def _limits(config: Config) -> Limits:
    """Clients get the descriptors that upstreams leave; each upstream counts pages and files apart."""
    upstream_connections = sum(2 * upstream.max_connections for upstream in config.registry.upstreams.values())
    return Limits(connections=connections_within(raise_limit(), upstream_connections))
