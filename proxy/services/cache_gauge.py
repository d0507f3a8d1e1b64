"""How much room the cache takes, for who asks often: measured now and then, once for all who ask meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from proxy.core.errors import StorageTrouble
from proxy.services.coalesce import Coalescer

if TYPE_CHECKING:
    from proxy.ports import CacheSize, CacheStore

MEASURE_EVERY: Final = 10.0
"""Seconds for which a measurement is believed: it reads a row for each cached file."""
PATIENCE: Final = 2.0
"""Seconds: who asks has other things to learn too, and a disk may hang."""


class CacheGauge:
    def __init__(self, store: CacheStore, patience: float = PATIENCE) -> None:
        self._store = store
        self._patience = patience
        self._flights: Coalescer[None, None] = Coalescer()
        self._size: CacheSize | None = None
        self._again_at = 0.0

    async def read(self) -> CacheSize | None:
        """The size as it was some seconds ago at most; None where it cannot be told."""
        if asyncio.get_running_loop().time() >= self._again_at:
            try:
                async with asyncio.timeout(self._patience):
                    await self._flights.run(None, self._measure)
            except TimeoutError:
                return None
        return self._size

    async def close(self) -> None:
        await self._flights.close()

    async def _measure(self) -> None:
        try:
            self._size = await self._store.measure_cache()
        except StorageTrouble:
            self._size = None
        self._again_at = asyncio.get_running_loop().time() + MEASURE_EVERY
