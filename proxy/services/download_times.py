"""When releases were last downloaded. One that is lost is brought again by the next download."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.services.batches import WRITE_EVERY, Batches

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.ports import Clock, ReleaseStore


class DownloadTimes:
    def __init__(self, store: ReleaseStore, clock: Clock, write_every: float = WRITE_EVERY) -> None:
        self._clock = clock
        self._batches: Batches[int, datetime] = Batches(
            store.record_downloads, "when releases were downloaded", write_every
        )

    def note(self, release: int) -> None:
        """A file of this release is being downloaded now."""
        self._batches.note(release, self._clock.now())

    async def close(self) -> None:
        """Write what is left."""
        await self._batches.close()
