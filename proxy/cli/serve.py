"""`serve`: runs the server until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import click
from aiohttp import web

from proxy.cli import interpreter
from proxy.cli.access_lines import write_access_lines
from proxy.cli.descriptors import connections_within, raise_limit
from proxy.cli.logs import set_up_logging
from proxy.cli.options import config_option, data_dir_option, load, told_errors, told_faults
from proxy.cli.reload import Reloader, reload_on_hangup
from proxy.cli.streams import drop_unwritten, say
from proxy.compose import compose
from proxy.core.errors import InvalidConfig, SidecarError
from proxy.web.connections import Limits, Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from proxy.config import Config

GRACE = 10
"""Seconds that running requests get to finish after SIGTERM or SIGINT."""


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
    with told_faults():
        config = _load(config_path, options)
    set_up_logging(config.log)
    interpreter.give_memory_back()
    try:
        with told_errors(), told_faults():
            asyncio.run(_serve(config, lambda: _load(config_path, options)))
    finally:
        drop_unwritten()


def _load(path: Path | None, options: Mapping[str, object]) -> Config:
    """A config that can be served; raises InvalidConfig."""
    config = load(path, **options)
    if config.server.workers != 1:
        raise InvalidConfig(["server.workers: more than one worker is not available yet; use 1"])
    return config


async def _serve(config: Config, load_again: Callable[[], Config]) -> None:
    stop = _stop_signal()
    async with compose(config) as server:
        write_access_lines(server.app, config.log.format)
        reload_on_hangup(Reloader(server, config, load_again))
        runner = Runner(server.app, _limits(config), shutdown_timeout=GRACE)
        await runner.setup()
        interpreter.settle()
        try:
            _announce(config.server.host, await _listen(runner, config.server.host, config.server.port))
            await stop.wait()
        finally:
            await runner.cleanup()


def _limits(config: Config) -> Limits:
    """Clients get the descriptors that upstreams leave; each upstream counts pages and files apart."""
    upstream_connections = sum(2 * upstream.max_connections for upstream in config.registry.upstreams.values())
    return Limits(connections=connections_within(raise_limit(), upstream_connections))


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    return stop


async def _listen(runner: web.AppRunner, host: str, port: int) -> int:
    """The port that the server now answers on."""
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {host}:{port}: {error.strerror}; try another --host or --port"
        ) from error
    bound: int = runner.addresses[0][1]
    return bound


class CannotListen(SidecarError):
    code = "cannot-listen"


def _announce(host: str, port: int) -> None:
    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    say(f"listening on {base}/", sys.stdout)  # the contract: this one line there
    say(f"pip install --index-url {base}/simple/ PACKAGE", sys.stderr)
    say(f"uv pip install --default-index {base}/simple/ PACKAGE", sys.stderr)
