"""Room for the cache: what was used longest ago goes when it is full, and leftovers go by and by.

What is published stays. That holds against an upload of the same bytes at any moment, since the order of looking is:
which blobs are held, then which are published, then remove what was committed before (`BlobStore.list_held`). A blob
goes before its row: a kill between them leaves a row without a blob, which the next sweep forgets.
"""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from proxy.core.errors import StorageFull, StorageTrouble
from proxy.ports import PREFIXES, CachedBlob

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from proxy.core.digests import Sha256
    from proxy.ports import BlobStore, CacheStore, Clock
    from proxy.services.cache_uses import CacheUses

logger = logging.getLogger(__name__)

PART_AGE = timedelta(days=1)
BLOB_AGE = timedelta(hours=1)
"""How old a blob that nobody names is when it is swept."""
FIRST_SWEEP = 10.0
"""Seconds after the start: not while the first clients are waiting."""
SWEEP_EVERY = 3600.0
TRY_AGAIN = 60.0
"""Seconds after storage trouble."""
BATCH = 100
"""Files removed between two looks at what is published."""
AHEAD = 20
"""The server frees one part in so many more than it must, so that not each new file makes it look again."""


@dataclass(frozen=True)
class Freed:
    """What was removed. Leftovers are blobs that nobody names; forgotten rows named a blob that was gone."""

    evicted_files: int = 0
    evicted_bytes: int = 0
    page_bytes: int = 0
    leftover_files: int = 0
    leftover_bytes: int = 0
    part_bytes: int = 0
    forgotten_rows: int = 0

    def __add__(self, other: Freed) -> Freed:
        return Freed(*(one + more for one, more in zip(astuple(self), astuple(other), strict=True)))

    @property
    def bytes(self) -> int:
        return self.evicted_bytes + self.page_bytes + self.leftover_bytes + self.part_bytes


@dataclass(frozen=True)
class Duties:
    """What falls to this process where several look after one cache: its share of the room, and perhaps sweeping."""

    workers: int = 1
    sweeps: bool = True


class Janitor:
    """`max_size` is in bytes, for cached files and pages together; pages alone get at most half of it.

    `on_freed` is told what went as it goes, also where trouble comes after it.
    """

    def __init__(
        self,
        blobs: BlobStore,
        store: CacheStore,
        uses: CacheUses,
        clock: Clock,
        max_size: int,
        on_freed: Callable[[Freed], None] = lambda _: None,
        duties: Duties = Duties(),
    ) -> None:
        self._blobs = blobs
        self._store = store
        self._uses = uses
        self._clock = clock
        self._max_size = max_size
        self._on_freed = on_freed
        self._duties = duties
        self._room: int | None = None  # bytes that may still come; None: not measured
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def configure(self, max_size: int) -> None:
        """Another size, from now on."""
        if max_size != self._max_size:
            self._max_size = max_size
            self.note_cached(None)

    def note_cached(self, size: int | None) -> None:
        """A file came into the cache; None where its size is not known."""
        self._room = None if size is None or self._room is None else self._room - size
        if self._room is None or self._room < 0:
            self._wake.set()

    def start(self) -> None:
        """Keep the cache to its size, and sweep every hour, until `close`."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def evict(self, ahead: int = 0) -> Freed:
        """Where the cache is over its size, remove pages and files until it is under it by `ahead` bytes.

        Files that are being served, or held still, stay: then the cache may end over its size.
        """
        await self._uses.flush()
        freed = await self._evict_pages()
        size = await self._store.measure_cache()
        room = self._max_size - size.blobs - size.pages
        self._room = room // self._duties.workers if room > 0 else room  # others do not tell what they take
        wanted = ahead - room if room < 0 else 0
        while wanted > 0:
            more, made = await self._evict_some(wanted)
            if not made:
                break
            freed, wanted = freed + more, wanted - made
        return freed

    async def sweep(self, *, part_age: timedelta = PART_AGE, blob_age: timedelta = BLOB_AGE) -> Freed:
        """Remove leftovers of at least these ages, and forget cached files that are gone."""
        now = self._clock.now()
        await self._uses.flush()
        freed = self._told(Freed(part_bytes=await self._blobs.sweep(now - part_age)))
        held = await self._blobs.list_held()
        for prefix in PREFIXES:
            freed += await self._sweep_prefix(prefix, None if prefix in held else now - blob_age)
        return freed

    async def _run(self) -> None:
        sweep_at = _loop_time() + FIRST_SWEEP if self._duties.sweeps else math.inf
        while True:
            await self._sleep(sweep_at - _loop_time())
            try:
                if _loop_time() >= sweep_at:
                    _tell(await self.sweep())
                    sweep_at = _loop_time() + SWEEP_EVERY
                _tell(await self.evict(self._max_size // AHEAD))
            except StorageTrouble as error:
                logger.warning("cannot keep the cache to its size: %s; trying again in %d s", error, TRY_AGAIN)
            except Exception:  # a fault here must not let the disk fill up unseen
                logger.exception("the cache is not kept to its size; trying again in %d s", TRY_AGAIN)
            else:
                continue
            await asyncio.sleep(TRY_AGAIN)
            self._wake.set()

    async def _sleep(self, seconds: float) -> None:
        """Until there is something to do, at most so long."""
        if self._room is not None and self._room < 0:  # what could not be removed may be by then
            seconds = min(seconds, TRY_AGAIN)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wake.wait()
        self._wake.clear()

    async def _evict_pages(self) -> Freed:
        try:
            return self._told(Freed(page_bytes=await self._store.delete_oldest_pages(self._max_size // 2)))
        except StorageFull as error:  # rows are deleted by writing; the files that go next make room for that
            logger.warning("cached pages cannot be deleted yet: %s", error)
            return Freed()

    async def _evict_some(self, wanted: int) -> tuple[Freed, int]:
        """Remove the least recently used until `wanted` bytes are free; what went, and how much room that makes.

        Rows whose blob is gone make room in the count alone.
        """
        before = self._clock.now()
        held = await self._blobs.list_held()
        freed, gone = Freed(), list[CachedBlob]()
        for blob in await self._store.list_least_used(BATCH):
            if sum(each.size for each in gone) >= wanted:
                break
            if blob.sha256[:2] in held or self._uses.is_served(blob.sha256):
                continue
            if await self._blobs.delete(blob.sha256, older_than=before):
                freed += Freed(evicted_files=1, evicted_bytes=blob.size)
            elif await self._blobs.find(blob.sha256) is None:
                freed += Freed(forgotten_rows=1)
            else:
                continue
            gone.append(blob)
        made = sum(each.size for each in gone)
        self._on_freed(freed)
        await self._store.forget_cached([each.sha256 for each in gone])
        self._room = None if self._room is None else self._room + made
        return freed, made

    async def _sweep_prefix(self, prefix: str, before: datetime | None) -> Freed:
        """Rows are listed before blobs: a file that comes between them is none that is missing."""
        cached = {blob.sha256 for blob in await self._store.list_cached(prefix)}
        published = {blob.sha256 for blob in await self._store.list_published(prefix)}
        here = await self._blobs.list_blobs(prefix)
        freed = Freed()
        for blob in here:
            if before is None or blob.stored_at >= before or blob.sha256 in cached | published:
                continue
            if await self._blobs.delete(blob.sha256, older_than=before):
                freed += Freed(leftover_files=1, leftover_bytes=blob.size)
        return self._told(freed) + await self._forget(cached - {blob.sha256 for blob in here})

    def _told(self, freed: Freed) -> Freed:
        self._on_freed(freed)
        return freed

    async def _forget(self, gone: Collection[Sha256]) -> Freed:
        if not gone:
            return Freed()
        try:
            await self._store.forget_cached(gone)
        except StorageFull as error:  # leftovers and evicted files make room; those rows can wait
            logger.warning("rows cannot be deleted yet: %s", error)
            return Freed()
        return Freed(forgotten_rows=len(gone))


def _tell(freed: Freed) -> None:
    if freed != Freed():
        logger.info("%d bytes were freed: %s", freed.bytes, freed)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
