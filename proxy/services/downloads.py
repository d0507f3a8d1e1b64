"""Files on their way into the cache: one upstream request, any number of followers, verified before it counts.

A download is a task of the cache, not of the request that began it. Followers read its part by offset, each at its own
pace, up to HOLD_BACK bytes before the end of what is written: the last bytes are released when the digest agrees, so
that nobody ever holds a whole file that is wrong. When it does not, the part is dropped and every follower is cut off.

A connection that breaks is no failure yet: `resuming` takes it up again. Nor is a disk that takes no more the
followers' trouble: `bypass` leads them past it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from proxy.core.errors import SidecarError, StorageTrouble, UpstreamBroken, UpstreamTrouble
from proxy.ports import Blob
from proxy.services.coalesce import Coalescer
from proxy.services.resuming import open_resuming

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping

    from proxy.core.digests import Sha256
    from proxy.core.ranges import ByteRange
    from proxy.ports import BlobStore, BlobWriter, Body, CacheStore, Clock, Upstream
    from proxy.services.listings import UpstreamFile

logger = logging.getLogger(__name__)

HOLD_BACK = 1024
"""Bytes kept from followers until the digest is known to be right."""
SMALL = 16 * 1024
"""A file of at most so many bytes is kept back whole: it costs no time, and what is wrong becomes an error answer."""
READ_SIZE = 256 * 1024


class Download:
    """One file on its way. `length` is known when the download is opened, None where nobody told it."""

    def __init__(self, file: UpstreamFile, part: BlobWriter) -> None:
        self.file = file
        self.length = file.file.size
        self._part = part
        self._readable = 0
        self._answered = False
        self._complete = False
        self._failure: SidecarError | None = None
        self._holders = 0
        self._changed = asyncio.Event()

    @property
    def readable(self) -> int:
        """How many bytes from the start followers may have by now."""
        return self._readable

    @property
    def complete(self) -> bool:
        """Whether all of it is here and verified."""
        return self._complete

    @property
    def failed(self) -> bool:
        """Whether it has ended and nothing is kept."""
        return self._failure is not None

    async def answered(self) -> None:
        """Wait until the upstream begins to send; raises its trouble where it does not."""
        while not (self._answered or self._complete or self._failure):
            await self._changed.wait()
        if self._failure and not self._answered:
            raise self._failure

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep its bytes readable, also after the end and where the blob is evicted."""
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            self._wake()

    async def follow(self, wanted: ByteRange | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes (of a range) as they arrive; raises the download's failure, the last byte still to come.

        Whoever follows holds it meanwhile.
        """
        offset, end = (wanted.first, wanted.last + 1) if wanted else (0, None)  # the end of the whole is its commit
        while end is None or offset < end:
            await self._reach(offset)
            if self._readable <= offset:
                return
            stop = self._readable if end is None else min(end, self._readable)
            chunk = await self.read(offset, stop - offset)
            offset += len(chunk)
            yield chunk

    async def read(self, offset: int, size: int) -> bytes:
        """Some of at most `size` bytes from `offset`, for who holds it and was sent them; raises StorageTrouble."""
        chunk = await self._part.read(offset, min(READ_SIZE, size))
        if not chunk:
            raise StorageTrouble("bytes that were written cannot be read again")
        return chunk

    async def fill(self, body: Body) -> None:
        """Take in the upstream's bytes; raises what they raise, StorageTrouble."""
        self.length = body.length
        self._answered = True
        self._wake()
        held_back = hold_back(self.length)
        async for chunk in body.chunks:
            await self._part.write(chunk)
            self._advance(self._part.size - held_back)

    async def commit(self) -> None:
        """Verify and keep; raises UpstreamBroken when the digest is not the listed one."""
        if self._part.digests().sha256 != self.file.file.sha256:
            raise UpstreamBroken(f"{self.file.file.filename}: the upstream sent other bytes than its page promises")
        self._readable = (await self._part.commit()).size
        self._complete = True
        self._wake()

    def end(self, failure: SidecarError) -> None:
        """What is not complete has failed: cut every follower off."""
        if not self._complete:
            self._failure = failure
            self._wake()

    async def let_go(self) -> None:
        """What was kept may be evicted: a slow follower keeps its bytes from nobody but itself."""
        await self._part.let_go()

    async def close(self) -> None:
        """Give the part up, when the last holder has left."""
        try:
            while self._holders:
                await self._changed.wait()
        finally:
            await asyncio.shield(self._discard())  # also where this task is being ended

    async def _discard(self) -> None:
        try:
            await self._part.close()
        except StorageTrouble as error:
            logger.warning("a part stays until it is swept: %s", error)

    async def _reach(self, offset: int) -> None:
        """Wait until there is a byte at `offset`, or the end."""
        while self._failure is None and self._readable <= offset and not self._complete:
            await self._changed.wait()
        if self._failure:
            raise self._failure

    def _advance(self, readable: int) -> None:
        if readable > self._readable:
            self._readable = readable
            self._wake()

    def _wake(self) -> None:
        """Wake all who wait now; who comes later waits for the next change."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Downloads:
    """`on_cached` is told of each file that came in whole, `on_failed` of what kept one from it.

    `on_joined` is told of each caller who found its download under way.
    """

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        blobs: BlobStore,
        store: CacheStore,
        clock: Clock,
        on_cached: Callable[[UpstreamFile], None],
        on_failed: Callable[[SidecarError], None] = lambda _: None,
        on_joined: Callable[[], None] = lambda: None,
    ) -> None:
        self._upstreams = upstreams
        self._blobs = blobs
        self._store = store
        self._clock = clock
        self._on_cached = on_cached
        self._on_failed = on_failed
        self._on_joined = on_joined
        self._running: dict[Sha256, Download] = {}
        self._starting: Coalescer[Sha256, Download | Blob] = Coalescer(on_joined)
        self._tasks: dict[asyncio.Task[None], Download] = {}

    def find(self, sha256: Sha256) -> Download | None:
        return self._running.get(sha256)

    @asynccontextmanager
    async def open(self, file: UpstreamFile, *, anew: bool = False) -> AsyncIterator[Download | Blob]:
        """The running download of this file, begun where there is none, held for the block; or the blob where it has
        just ended. `anew`: a blob that is here is of no use, another is to take its place.

        Raises NotFound, UpstreamTrouble; StorageTrouble when its bytes are read.
        """
        opened = await self._open(file, anew=anew)
        if isinstance(opened, Blob):
            yield opened
            return
        with opened.held():
            await opened.answered()
            yield opened

    async def close(self) -> None:
        """End all downloads; what is not whole is dropped."""
        await self._starting.close()
        running = list(self._running.values())
        for task, download in self._tasks.items():
            if download in running:  # one that is tidying up is waited for
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for download in self._running.values():  # cancelled before its first step, it has told nobody
            download.end(_broken_off())
            await download.close()
        self._running.clear()

    async def _open(self, file: UpstreamFile, *, anew: bool) -> Download | Blob:
        sha256 = file.file.sha256
        while (running := self._running.get(sha256)) is None:
            opened = await self._starting.run(sha256, lambda: self._begin(file, anew=anew))
            if not (anew and isinstance(opened, Blob)):  # else the look of a caller was joined that trusts the blob
                return opened
        self._on_joined()
        return running

    async def _begin(self, file: UpstreamFile, *, anew: bool) -> Download | Blob:
        """Look once more before fetching: the caller may have looked just before another download ended."""
        sha256 = file.file.sha256
        if not anew and (blob := await find_readable(self._blobs, sha256)):
            return blob
        download = self._running[sha256] = Download(file, await self._blobs.writer())
        task = asyncio.create_task(self._run(download))
        self._tasks[task] = download
        task.add_done_callback(self._tasks.pop)
        return download

    async def _run(self, download: Download) -> None:
        try:
            await self._fetch(download)
            if download.complete:
                await self._note(download)
                await download.let_go()
        finally:
            await download.close()

    async def _fetch(self, download: Download) -> None:
        failure: SidecarError = _broken_off()
        try:
            async with open_resuming(self._upstreams[download.file.upstream], download.file.file) as body:
                await download.fill(body)
            await download.commit()
        except SidecarError as error:
            logger.warning("%s was not cached: %s", download.file.file.filename, error)
            failure = error
            self._on_failed(error)
        finally:
            del self._running[download.file.file.sha256]  # whatever happened, the next caller starts anew
            download.end(failure)

    async def _note(self, download: Download) -> None:
        file = download.file.file
        try:
            await self._store.record_cached(file.sha256, download.readable, self._clock.now())
        except StorageTrouble as error:
            logger.warning("cannot note that %s is cached: %s", file.filename, error)
        self._on_cached(download.file)


async def find_readable(blobs: BlobStore, sha256: Sha256) -> Blob | None:
    """The blob; None also where the disk cannot be asked: what can be fetched is then fetched."""
    try:
        return await blobs.find(sha256)
    except StorageTrouble as error:
        logger.warning("%s", error)
        return None


def hold_back(length: int | None) -> int:
    """How many bytes of a file stay behind until it is verified; `length` None: nobody told how long it is."""
    return SMALL if length is not None and length <= SMALL else HOLD_BACK


def _broken_off() -> UpstreamTrouble:
    return UpstreamTrouble("the download was broken off")
