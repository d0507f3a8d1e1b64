"""When releases were last downloaded: noted on the way past, written a batch at a time.

A download never waits for this and never fails by it. What was not written when the process is killed is lost; the
next download brings it again.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from proxy.core.errors import StorageTrouble

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.ports import Clock, ReleaseStore

logger = logging.getLogger(__name__)

WRITE_EVERY = 5.0
"""Seconds between two writes, at least."""
MAX_PENDING = 10_000
"""Releases that one batch holds; downloads of further ones go unnoted until it is written."""


class DownloadTimes:
    def __init__(self, store: ReleaseStore, clock: Clock, write_every: float = WRITE_EVERY) -> None:
        self._store = store
        self._clock = clock
        self._write_every = write_every
        self._pending: dict[int, datetime] = {}
        self._writer: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def note(self, release: int) -> None:
        """A file of this release is being downloaded now."""
        if len(self._pending) >= MAX_PENDING and release not in self._pending:
            return
        self._pending[release] = self._clock.now()
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_pending())

    async def close(self) -> None:
        """Write what is left."""
        self._closing.set()
        if self._writer is not None:
            await self._writer

    async def _write_pending(self) -> None:
        while self._pending:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._write_every)
            batch, self._pending = self._pending, {}
            try:
                await self._store.record_downloads(batch)
            except StorageTrouble as error:
                logger.warning("cannot note when %d releases were downloaded: %s", len(batch), error)
