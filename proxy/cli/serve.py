"""`serve`: runs the server until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import click
from aiohttp import web

from proxy.cli.logs import set_up_logging
from proxy.cli.options import BAD_CONFIG, config_option, data_dir_option, read_config, told_errors
from proxy.compose import compose
from proxy.config import needs_anonymous_setting
from proxy.core.errors import SidecarError

if TYPE_CHECKING:
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
    config = read_config(config_path, host=host, port=port, data_dir=data_dir, workers=workers)
    _refuse_what_is_not_there(config)
    set_up_logging(config.log)
    with told_errors():
        asyncio.run(_serve(config))


def _refuse_what_is_not_there(config: Config) -> None:
    if needs_anonymous_setting(config):
        _exit(
            f"access.anonymous: must be set when the server is bound to {config.server.host} and has no token: "
            '"none", "read" or "publish"; or add [[tokens]], or bind it to 127.0.0.1'
        )
    if config.server.workers != 1:
        _exit("server.workers: more than one worker is not available yet; use 1")


def _exit(message: str) -> None:
    click.echo(message, err=True)
    sys.exit(BAD_CONFIG)


async def _serve(config: Config) -> None:
    stop = _stop_signal()
    async with compose(config) as app:
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=GRACE)
        await runner.setup()
        try:
            _announce(config.server.host, await _listen(runner, config.server.host, config.server.port))
            await stop.wait()
        finally:
            await runner.cleanup()


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
    print(f"listening on {base}/", flush=True)  # noqa: T201  (the contract: this one line on stdout)
    click.echo(f"pip install --index-url {base}/simple/ PACKAGE", err=True)
    click.echo(f"uv pip install --default-index {base}/simple/ PACKAGE", err=True)
