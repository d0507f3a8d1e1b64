"""Which cached blobs are used: when they were last, for those who evict the least recently used, and now."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from proxy.ports import Use
from proxy.services.batches import WRITE_EVERY, Batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.core.digests import Sha256
    from proxy.ports import Blob, CacheStore, Clock


class CacheUses:
    """Uses are written some seconds later; those that a kill takes are a little of the order of eviction."""

    def __init__(self, store: CacheStore, clock: Clock, write_every: float = WRITE_EVERY) -> None:
        self._clock = clock
        self._batches: Batches[Sha256, Use] = Batches(store.record_uses, "when cached files were used", write_every)
        self._serving: Counter[Sha256] = Counter()

    def note(self, blob: Blob) -> None:
        """A blob is used now. One that is cached and whose row was lost is counted again."""
        self._batches.note(blob.sha256, Use(blob.size, self._clock.now()))

    @contextmanager
    def serving(self, blob: Blob) -> Iterator[None]:
        """A blob is used now, and sent for the block."""
        sha256 = blob.sha256
        self.note(blob)
        self._serving[sha256] += 1
        try:
            yield
        finally:
            self._serving[sha256] -= 1
            if not self._serving[sha256]:
                del self._serving[sha256]

    def is_served(self, sha256: Sha256) -> bool:
        return sha256 in self._serving

    async def flush(self) -> None:
        """Write what was noted."""
        await self._batches.flush()

    async def close(self) -> None:
        """Write what is left."""
        await self._batches.close()
