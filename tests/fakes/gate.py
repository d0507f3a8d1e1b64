"""Holding tasks of one event loop at a chosen point, and waiting for what they bring about."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 10.0
"""Seconds for what happens at once on an idle machine."""


class Gate:
    """Who comes to it waits until it opens; once open it stays open."""

    def __init__(self) -> None:
        self.arrived = 0
        self._open = asyncio.Event()

    async def pass_through(self) -> None:
        self.arrived += 1
        await self._open.wait()

    def open(self) -> None:
        self._open.set()

    async def waiting(self, tasks: int = 1) -> None:
        """Until so many have come; raises TimeoutError."""
        await until(lambda: self.arrived >= tasks)


async def until(condition: Callable[[], bool]) -> None:
    """Give the loop (and its threads) time until `condition()`; raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for may happen in a thread
            await asyncio.sleep(0.001)


async def settle() -> None:
    """Let every task of this loop run until it waits for something."""
    for _ in range(20):
        await asyncio.sleep(0)
