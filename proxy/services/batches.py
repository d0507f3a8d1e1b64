"""Facts noted on the way past, written a batch at a time.

Who notes never waits for it and never fails by it. What was not written when the process is killed is lost.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from proxy.core.errors import StorageTrouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping

logger = logging.getLogger(__name__)

WRITE_EVERY = 5.0
"""Seconds between two writes, at least."""
MAX_PENDING = 10_000
"""Keys that one batch holds; further ones go unnoted until it is written."""

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class Batches(Generic[K, V]):
    """The latest value of each key. `what` completes "cannot note ..." where `write` raises StorageTrouble."""

    def __init__(
        self, write: Callable[[Mapping[K, V]], Awaitable[None]], what: str, write_every: float = WRITE_EVERY
    ) -> None:
        self._write = write
        self._what = what
        self._write_every = write_every
        self._pending: dict[K, V] = {}
        self._writer: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def note(self, key: K, value: V) -> None:
        if len(self._pending) >= MAX_PENDING and key not in self._pending:
            return
        self._pending[key] = value
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_pending())

    async def flush(self) -> None:
        """Write what is pending, now."""
        batch, self._pending = self._pending, {}
        if not batch:
            return
        try:
            await self._write(batch)
        except StorageTrouble as error:
            logger.warning("cannot note %s (%d): %s", self._what, len(batch), error)

    async def close(self) -> None:
        """Write what is left."""
        self._closing.set()
        if self._writer is not None:
            await self._writer

    async def _write_pending(self) -> None:
        while self._pending:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._write_every)
            await self.flush()
