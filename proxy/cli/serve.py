"""`serve`: runs the server until it is told to stop."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click
from aiohttp import web

from proxy.cli import interpreter
from proxy.cli.listening import announce, cannot_listen
from proxy.cli.logs import set_up_logging
from proxy.cli.options import config_option, data_dir_option, load, told_errors, told_faults
from proxy.cli.reload import Reloader, reload_on_hangup
from proxy.cli.running import running, stop_signal
from proxy.cli.streams import drop_unwritten
from proxy.cli.workers import serve_together
from proxy.compose import compose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from proxy.config import Config


@click.command()
@config_option
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=int, help="The port to listen on; 0 picks a free one.")
@data_dir_option
@click.option("--workers", type=int, help="How many processes serve.")
def serve(
    config_path: Path | None, host: str | None, port: int | None, data_dir: Path | None, workers: int | None
) -> None:
    """Run the server."""
    options: Mapping[str, object] = {"host": host, "port": port, "data_dir": data_dir, "workers": workers}

    def load_again() -> Config:
        return load(config_path, **options)

    with told_faults():
        config = load_again()
    set_up_logging(config.log, pid=config.server.workers > 1)
    interpreter.give_memory_back()
    try:
        with told_errors(), told_faults():
            if config.server.workers == 1:
                asyncio.run(_serve(config, load_again))
            else:
                sys.exit(serve_together(config, load_again))
    finally:
        drop_unwritten()


async def _serve(config: Config, load_again: Callable[[], Config]) -> None:
    stop = stop_signal()
    async with compose(config) as server:
        reload_on_hangup(Reloader(server, config, load_again))
        async with running(server, config) as runner:
            announce(config.server.host, await _listen(runner, config.server.host, config.server.port))
            await stop.wait()


async def _listen(runner: web.AppRunner, host: str, port: int) -> int:
    """The port that the server now answers on."""
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise cannot_listen(host, port, error) from error
    bound: int = runner.addresses[0][1]
    return bound
