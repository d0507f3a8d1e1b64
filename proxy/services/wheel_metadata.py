"""Core metadata for the wheels of an upstream that offers none: read out of the wheel, kept, and shown on its page.

From a wheel that is here it is read at once; out of one that is not, by ranges: its directory and one member, some
tens of KB instead of the whole.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from proxy.core.errors import InvalidUpload, NotFound, SidecarError, StorageTrouble
from proxy.core.names import Filename
from proxy.core.ranges import ByteRange
from proxy.core.wheel_metadata import MAX_WINDOWS, TAIL, Missing, Windows, read_wheel_metadata
from proxy.services.cached_pages import promised_metadata
from proxy.services.coalesce import Coalescer
from proxy.services.downloads import find_readable
from proxy.services.resuming import open_resuming

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.core.digests import Sha256
    from proxy.ports import Blob, BlobStore, CacheStore, Clock, Upstream
    from proxy.services.listings import UpstreamFile
    from proxy.services.upstream_pages import UpstreamPages

logger = logging.getLogger(__name__)

MAX_REQUESTS = 12
"""Ranges asked for one wheel; most take two."""
MAX_ASIDE = 32
"""Wheels read aside at once; what comes on top is read when somebody asks."""


class WheelMetadata:
    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        pages: UpstreamPages,
        blobs: BlobStore,
        store: CacheStore,
        clock: Clock,
    ) -> None:
        self._upstreams = upstreams
        self._pages = pages
        self._blobs = blobs
        self._store = store
        self._clock = clock
        self._flights: Coalescer[Sha256, Blob | bytes] = Coalescer()

    async def get(self, wheel: UpstreamFile) -> Blob | bytes:
        """The core metadata of a wheel, its bytes where the disk does not keep them.

        Raises NotFound where it has none, UpstreamTrouble.
        """
        return await self._flights.run(wheel.file.sha256, lambda: self._read(wheel))

    async def read_anew(self, wheel: UpstreamFile) -> bytes:
        """The core metadata of a wheel where what was kept of it cannot be read; raises what `get` raises."""
        return await self._read_out(wheel)

    def read_aside(self, wheel: UpstreamFile) -> None:
        """Read it for those who ask next: somebody took an interest in a wheel whose metadata nobody offers."""
        if not promised_metadata(wheel.file) and wheel.core_metadata is None:
            self.keep_aside(wheel)

    def keep_aside(self, wheel: UpstreamFile) -> None:
        """Keep the metadata of a wheel that has come in, so that both are here when the upstream is down."""
        if wheel.file.filename.endswith(".whl") and self._flights.count < MAX_ASIDE:
            self._flights.start(wheel.file.sha256, lambda: self._read_quietly(wheel))

    async def close(self) -> None:
        await self._flights.close()

    async def _read_quietly(self, wheel: UpstreamFile) -> Blob | bytes:
        try:
            return await self._read(wheel)
        except SidecarError as error:
            logger.info("no core metadata for %s: %s", wheel.file.filename, error)
            raise

    async def _read(self, wheel: UpstreamFile) -> Blob | bytes:
        metadata = await self._read_out(wheel)
        try:
            blob = await self._keep(metadata)
            if not promised_metadata(wheel.file):
                await self._pages.learn(wheel.upstream, wheel.project, wheel.file.sha256, blob.sha256)
        except StorageTrouble as error:
            logger.warning("the core metadata of %s is passed on and not kept: %s", wheel.file.filename, error)
            return metadata
        return blob

    async def _read_out(self, wheel: UpstreamFile) -> bytes:
        """From the wheel that is here, or from its upstream where it is not or cannot be read."""
        try:
            stored = await find_readable(self._blobs, wheel.file.sha256)
            if stored and wheel.file.size in {None, stored.size}:  # one that has lost bytes would seem to have none
                metadata = await self._read_stored(wheel, stored)
                if metadata is not None:
                    return metadata
            return await self._read_by_ranges(wheel)
        except InvalidUpload as error:
            raise NotFound(f"404 Not Found - {error.message}") from error

    async def _read_stored(self, wheel: UpstreamFile, stored: Blob) -> bytes | None:
        def read() -> bytes:
            with stored.path.open("rb", buffering=0) as file:
                return read_wheel_metadata(file, Filename(wheel.file.filename))

        try:
            return await asyncio.to_thread(read)
        except OSError as error:  # as where it was evicted a moment ago
            logger.warning("the cached %s cannot be read: %r", wheel.file.filename, error)
            return None

    async def _read_by_ranges(self, wheel: UpstreamFile) -> bytes:
        size = wheel.file.size or await self._upstreams[wheel.upstream].fetch_size(wheel.file.url)
        if not size:
            raise NotFound("404 Not Found - the upstream does not tell the size of this wheel")
        windows, wanted = Windows(size), ByteRange(max(0, size - TAIL), size - 1)
        for _ in range(MAX_REQUESTS):
            windows.add(wanted.first, await self._fetch(wheel, wanted, MAX_WINDOWS - windows.held))
            try:
                return await asyncio.to_thread(read_wheel_metadata, windows, Filename(wheel.file.filename))
            except Missing as missing:
                wanted = missing.wanted
        raise InvalidUpload("its directory is scattered over the whole wheel")

    async def _fetch(self, wheel: UpstreamFile, wanted: ByteRange, room: int) -> bytes:
        if wanted.length > room:
            raise InvalidUpload("its directory is too large")
        async with open_resuming(self._upstreams[wheel.upstream], wheel.file, wanted) as body:
            return b"".join([chunk async for chunk in body.chunks])

    async def _keep(self, metadata: bytes) -> Blob:
        part = await self._blobs.writer()
        try:
            await part.write(metadata)
            blob = await part.commit()
            await self._store.record_cached(blob.sha256, blob.size, self._clock.now())
            return blob
        finally:
            await asyncio.shield(part.close())  # also where this flight is being ended
