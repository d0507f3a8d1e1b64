"""Core metadata for the wheels of an upstream that offers none: read out of the wheel, kept, and shown on its page.

From a wheel that is here it is read at once; out of one that is not, by ranges: its directory and one member, some
tens of KB instead of the whole.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from proxy.core.errors import InvalidUpload, NotFound, SidecarError, StorageTrouble, UpstreamBroken
from proxy.core.names import Filename
from proxy.core.ranges import ByteRange
from proxy.core.wheel_metadata import MAX_WINDOWS, TAIL, Missing, Windows, read_wheel_metadata
from proxy.services.coalesce import Coalescer
from proxy.services.upstream_pages import promised_metadata

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
        self._flights: Coalescer[Sha256, Blob] = Coalescer()

    async def get(self, wheel: UpstreamFile) -> Blob:
        """The core metadata of a wheel; raises NotFound where it has none, UpstreamTrouble, StorageTrouble."""
        return await self._flights.run(wheel.file.sha256, lambda: self._read(wheel))

    def read_aside(self, wheel: UpstreamFile) -> None:
        """Read it for those who ask next: somebody took an interest in a wheel whose metadata nobody offers."""
        if not promised_metadata(wheel.file):
            self.keep_aside(wheel)

    def keep_aside(self, wheel: UpstreamFile) -> None:
        """Keep the metadata of a wheel that has come in, so that both are here when the upstream is down."""
        if wheel.file.filename.endswith(".whl") and self._flights.count < MAX_ASIDE:
            self._flights.start(wheel.file.sha256, lambda: self._read_quietly(wheel))

    async def close(self) -> None:
        await self._flights.close()

    async def _read_quietly(self, wheel: UpstreamFile) -> Blob:
        try:
            return await self._read(wheel)
        except SidecarError as error:
            logger.info("no core metadata for %s: %s", wheel.file.filename, error)
            raise

    async def _read(self, wheel: UpstreamFile) -> Blob:
        try:
            stored = await self._blobs.find(wheel.file.sha256)
            metadata = await (self._read_stored(wheel, stored) if stored else self._read_by_ranges(wheel))
        except InvalidUpload as error:
            raise NotFound(f"404 Not Found - {error.message}") from error
        blob = await self._keep(metadata)
        if not promised_metadata(wheel.file):
            await self._pages.learn(wheel.upstream, wheel.project, wheel.file.sha256, blob.sha256)
        return blob

    async def _read_stored(self, wheel: UpstreamFile, stored: Blob) -> bytes:
        def read() -> bytes:
            with stored.path.open("rb", buffering=0) as file:
                return read_wheel_metadata(file, Filename(wheel.file.filename))

        try:
            return await asyncio.to_thread(read)
        except OSError as error:  # as where it was evicted a moment ago
            raise StorageTrouble("the data directory cannot be read") from error

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
        data = bytearray()
        async with self._upstreams[wheel.upstream].open_file(wheel.file.url, wanted) as body:
            async for chunk in body.chunks:
                data += chunk
                if len(data) > wanted.length:
                    break
        if len(data) != wanted.length:
            raise UpstreamBroken(f"{wheel.file.filename}: the upstream sent another range than asked for")
        return bytes(data)

    async def _keep(self, metadata: bytes) -> Blob:
        part = await self._blobs.writer()
        try:
            await part.write(metadata)
            blob = await part.commit()
        finally:
            await asyncio.shield(part.close())  # also where this flight is being ended
        await self._store.record_cached(blob.sha256, blob.size, self._clock.now())
        return blob
