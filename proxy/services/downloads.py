"""Files on their way into the cache: one upstream request, any number of followers, verified before it counts.

A download is a task of the cache, not of the request that began it. Where another process fetches the file already, it
is read along there (`trailing`). A connection that breaks is no failure yet: `resuming` takes it up again. Nor is a
disk that takes no more the followers' trouble: `bypass` leads them past it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from proxy.core.errors import SidecarError, StorageTrouble, UpstreamBroken, UpstreamTrouble
from proxy.ports import Blob
from proxy.services.coalesce import Coalescer
from proxy.services.download import HOLD_BACK, Download, hold_back
from proxy.services.neighbours import ALONE
from proxy.services.resuming import open_resuming
from proxy.services.trailing import NeighbourEnded, find_readable, trail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from proxy.core.digests import Sha256
    from proxy.ports import BlobStore, BlobWriter, Body, CacheStore, Clock, Flights, Upstream
    from proxy.services.listings import UpstreamFile

__all__ = ["HOLD_BACK", "Download", "Downloads", "find_readable", "hold_back"]

logger = logging.getLogger(__name__)


class Told(NamedTuple):
    """`failed` is told what kept a file from coming in, `joined` of each caller who found its download under way."""

    failed: Callable[[SidecarError], None] = lambda _: None
    joined: Callable[[], None] = lambda: None


NOBODY: Final = Told()


class Downloads:
    """`on_cached` is told of each file that came in whole."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        blobs: BlobStore,
        store: CacheStore,
        clock: Clock,
        on_cached: Callable[[UpstreamFile], None],
        told: Told = NOBODY,
        flights: Flights = ALONE.flights,
    ) -> None:
        self._upstreams = upstreams
        self._blobs = blobs
        self._store = store
        self._clock = clock
        self._on_cached = on_cached
        self._told = told
        self._flights = flights
        self._running: dict[Sha256, Download] = {}
        self._starting: Coalescer[Sha256, Download | Blob] = Coalescer(told.joined)
        self._tasks: dict[asyncio.Task[None], Download] = {}

    def find(self, sha256: Sha256) -> Download | None:
        return self._running.get(sha256)

    @asynccontextmanager
    async def open(self, file: UpstreamFile, *, anew: bool = False) -> AsyncIterator[Download | Blob]:
        """The running download of this file, begun where there is none, held for the block; or the blob where it has
        just ended. `anew`: a blob that is here is of no use, another is to take its place.

        Raises NotFound, UpstreamTrouble; StorageTrouble when its bytes are read.
        """
        async with AsyncExitStack() as stack:
            while True:
                opened = await self._open(file, anew=anew)
                if isinstance(opened, Blob):
                    break
                stack.enter_context(opened.held())
                with suppress(NeighbourEnded):
                    await opened.answered()
                    break
                await stack.aclose()
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
        self._told.joined()
        return running

    async def _begin(self, file: UpstreamFile, *, anew: bool) -> Download | Blob:
        """Look once more before fetching: the caller may have looked just before another download ended."""
        sha256 = file.file.sha256
        mine = self._flights.claim(sha256)
        try:
            if not anew and (blob := await find_readable(self._blobs, sha256)):
                return blob
            begun = self._start(file, await self._blobs.writer() if mine else None)
            mine = False  # the download has it now
        finally:
            if mine:
                self._flights.let_go(sha256)
        return begun

    def _start(self, file: UpstreamFile, part: BlobWriter | None) -> Download:
        """A download into this part, or where there is none, along with a neighbour's."""
        download = self._running[file.file.sha256] = Download(file, part)
        if part is None:
            self._told.joined()
        task = asyncio.create_task(self._run(download, part) if part else self._trail(download))
        self._tasks[task] = download
        task.add_done_callback(self._tasks.pop)
        return download

    async def _run(self, download: Download, part: BlobWriter) -> None:
        try:
            await self._fetch(download, part)
            if download.complete:
                await self._note(download)
                await part.let_go()  # it may be evicted: a slow follower keeps its bytes from nobody but itself
        finally:
            await download.close()

    async def _trail(self, download: Download) -> None:
        failure: SidecarError = _broken_off()
        try:
            await trail(download, self._flights, self._blobs)
        except SidecarError as error:
            failure = error
        finally:
            self._end(download, failure)
            await download.close()

    async def _fetch(self, download: Download, part: BlobWriter) -> None:
        failure: SidecarError = _broken_off()
        try:
            async with open_resuming(self._upstreams[download.file.upstream], download.file.file) as body:
                await self._fill(download, part, body)
            await _commit(download, part)
        except SidecarError as error:
            logger.warning("%s was not cached: %s", download.file.file.filename, error)
            failure = error
            self._told.failed(error)
        finally:
            try:
                if not (download.complete or self._flights.alone):
                    await _hide(part)
            finally:
                self._flights.let_go(download.file.file.sha256)
                self._end(download, failure)

    async def _fill(self, download: Download, part: BlobWriter, body: Body) -> None:
        """Take in the upstream's bytes; raises what they raise, StorageTrouble."""
        if not self._flights.alone:
            part.show(download.file.file.sha256, body.length)
        download.begin(part, body.length)
        async for chunk in body.chunks:
            await part.write(chunk)
            download.receive(chunk)
            if part.size == len(chunk):
                await asyncio.sleep(0)  # its first bytes leave before more are looked at

    def _end(self, download: Download, failure: SidecarError) -> None:
        del self._running[download.file.file.sha256]  # whatever happened, the next caller starts anew
        download.end(failure)

    async def _note(self, download: Download) -> None:
        file = download.file.file
        try:
            await self._store.record_cached(file.sha256, download.readable, self._clock.now())
        except StorageTrouble as error:
            logger.warning("cannot note that %s is cached: %s", file.filename, error)
        self._on_cached(download.file)


def _broken_off() -> UpstreamTrouble:
    return UpstreamTrouble("the download was broken off")


async def _commit(download: Download, part: BlobWriter) -> None:
    """Verify and keep; raises UpstreamBroken when the digest is not the listed one."""
    if part.digests().sha256 != download.file.file.sha256:
        raise UpstreamBroken(f"{download.file.file.filename}: the upstream sent other bytes than its page promises")
    download.finish((await part.commit()).size)


async def _hide(part: BlobWriter) -> None:
    """Before the claim is let go: what is shown is always on its way."""
    try:
        await asyncio.shield(part.hide())
    except StorageTrouble as error:
        logger.warning("a part stays until it is swept: %s", error)
