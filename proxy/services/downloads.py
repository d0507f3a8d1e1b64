"""Files on their way into the cache: one upstream request, any number of followers, verified before it counts.

A download is a task of the cache, not of the request that began it. Followers read its part by offset, each at its own
pace, up to HOLD_BACK bytes before the end of what is written: the last bytes are released when the digest agrees, so
that nobody ever holds a whole file that is wrong. When it does not, the part is dropped and every follower is cut off.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from proxy.core.errors import SidecarError, StorageTrouble, UpstreamBroken, UpstreamTrouble
from proxy.ports import Blob
from proxy.services.coalesce import Coalescer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping

    from proxy.core.digests import Sha256
    from proxy.core.ranges import ByteRange
    from proxy.ports import BlobStore, BlobWriter, Body, CacheStore, Clock, Upstream
    from proxy.services.listings import UpstreamFile

logger = logging.getLogger(__name__)

HOLD_BACK = 1024
"""Bytes kept from followers until the digest is known to be right."""
READ_SIZE = 256 * 1024


class Download:
    """One file on its way. `length` is known when `answered` returns, None where nobody told it."""

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
        offset, end = (wanted.first, wanted.last + 1) if wanted else (0, self.length)
        while end is None or offset < end:
            await self._reach(offset)
            if self._readable <= offset:
                return
            stop = self._readable if end is None else min(end, self._readable)
            chunk = await self._part.read(offset, min(READ_SIZE, stop - offset))
            offset += len(chunk)
            yield chunk

    async def fill(self, body: Body) -> None:
        """Take in the upstream's bytes; raises UpstreamBroken when they are more or fewer than promised."""
        self._begin(body)
        async for chunk in body.chunks:
            await self._part.write(chunk)
            if self.length is not None and self._part.size > self.length:
                raise UpstreamBroken(f"{self.file.file.filename}: the upstream sent more than it promised")
            self._advance(self._part.size - HOLD_BACK)
        if self.length is not None and self._part.size != self.length:
            raise UpstreamBroken(f"{self.file.file.filename}: the upstream sent less than it promised")

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

    async def close(self) -> None:
        """Give the part up, when the last holder has left."""
        try:
            while self._holders:
                await self._changed.wait()
        finally:
            await self._part.close()

    async def _reach(self, offset: int) -> None:
        """Wait until there is a byte at `offset`, or the end."""
        while self._failure is None and self._readable <= offset and not self._complete:
            await self._changed.wait()
        if self._failure:
            raise self._failure

    def _begin(self, body: Body) -> None:
        if self.length is not None and body.length is not None and body.length != self.length:
            raise UpstreamBroken(f"{self.file.file.filename}: the upstream offers another size than its page promises")
        self.length = self.length if self.length is not None else body.length
        self._answered = self.length != 0  # of an empty file there are no bytes to hold back until it is verified
        self._wake()

    def _advance(self, readable: int) -> None:
        if readable > self._readable:
            self._readable = readable
            self._wake()

    def _wake(self) -> None:
        """Wake all who wait now; who comes later waits for the next change."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Downloads:
    """`on_cached` is told of each file that came in whole."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        blobs: BlobStore,
        store: CacheStore,
        clock: Clock,
        on_cached: Callable[[UpstreamFile], None],
    ) -> None:
        self._upstreams = upstreams
        self._blobs = blobs
        self._store = store
        self._clock = clock
        self._on_cached = on_cached
        self._running: dict[Sha256, Download] = {}
        self._starting: Coalescer[Sha256, Download | Blob] = Coalescer()
        self._tasks: dict[asyncio.Task[None], Download] = {}

    def find(self, sha256: Sha256) -> Download | None:
        return self._running.get(sha256)

    @asynccontextmanager
    async def open(self, file: UpstreamFile) -> AsyncIterator[Download | Blob]:
        """The running download of this file, begun where there is none, held for the block; or the blob where it has
        just ended.

        Raises UpstreamTrouble, StorageTrouble.
        """
        sha256 = file.file.sha256
        opened = self._running.get(sha256) or await self._starting.run(sha256, lambda: self._begin(file))
        if isinstance(opened, Blob):
            yield opened
            return
        with opened.held():
            await opened.answered()
            yield opened

    async def close(self) -> None:
        """End all downloads; what is not whole is dropped."""
        await self._starting.close()
        for task, download in self._tasks.items():
            if download in self._running.values():  # one that is tidying up is waited for
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _begin(self, file: UpstreamFile) -> Download | Blob:
        """Look once more before fetching: the caller may have looked just before another download ended."""
        sha256 = file.file.sha256
        if blob := await self._blobs.find(sha256):
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
        finally:
            await download.close()

    async def _fetch(self, download: Download) -> None:
        failure: SidecarError = UpstreamTrouble("the download was broken off")
        try:
            async with self._upstreams[download.file.upstream].open_file(download.file.file.url) as body:
                await download.fill(body)
            await download.commit()
        except SidecarError as error:
            logger.warning("%s", error)
            failure = error
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
