"""Commands beside a running server, over its data directory and by its config, as an operator types them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from click.testing import CliRunner

from proxy.cli import main

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from click.testing import Result

    from tests.web.server import Server

SOON = 2.0
"""Seconds until a running server goes by what a command did."""


async def command(server: Server, *words: str) -> Result:
    """`pypi-sidecar WORDS`, whatever the exit status."""
    places = ["--config", str(server.data_dir.parent / "config.toml"), "--data-dir", str(server.data_dir)]
    return await asyncio.to_thread(CliRunner().invoke, main, [*words, *places])


async def create_token(server: Server, name: str, *words: str) -> str:
    """The secret of a new token."""
    done = await command(server, "token", "create", "--name", name, *words)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


async def revoke_token(server: Server, name: str) -> None:
    done = await command(server, "token", "revoke", name)
    assert done.exit_code == 0, done.output


async def soon(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what a command did to count; raises TimeoutError."""
    deadline = time.monotonic() + SOON
    while not await holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still not so after {SOON} s")
        await asyncio.sleep(0.05)
