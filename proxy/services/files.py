"""Files and their companions: found in the caller's own listing, then read from the blobs or fetched once for all."""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from cachetools import LRUCache
from msgspec.structs import replace

from proxy.core import cache_status
from proxy.core.access import Action
from proxy.core.digests import sha256_of
from proxy.core.distributions import candidate_projects
from proxy.core.errors import NotFound, Refused, StorageTrouble, UpstreamBroken, UpstreamTrouble
from proxy.core.local import LocalFile
from proxy.core.policy import check_access, policy_time
from proxy.core.provenance import provenance_of
from proxy.ports import Blob
from proxy.services import bypass
from proxy.services.cached_pages import promised_metadata
from proxy.services.downloads import find_readable
from proxy.services.listings import UpstreamFile, first_refusal
from proxy.services.resuming import open_resuming

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from proxy.core.access import Principal
    from proxy.core.cache_status import CacheStatus
    from proxy.core.digests import Sha256
    from proxy.core.names import Filename, ProjectName
    from proxy.core.policy import Scope
    from proxy.core.ranges import ByteRange
    from proxy.ports import BlobStore, Body, Clock, LocalStore, Upstream
    from proxy.services.downloads import Download, Downloads
    from proxy.services.grounds import Grounds
    from proxy.services.listings import FoundFile, ListedFile, Listings
    from proxy.services.wheel_metadata import WheelMetadata

logger = logging.getLogger(__name__)

FILE_NOT_FOUND = "404 Not Found"
UNREADABLE = "a stored file cannot be read: check the data directory with `pypi-sidecar verify`"
MAX_PROVENANCE = 16 * 1024 * 1024
"""Bytes of provenance objects held in memory: those of an immutable file do not change."""
FOLLOW_AHEAD = 4 * 1024 * 1024
"""A range that starts at most so many bytes ahead of a running download waits for it; a later one is relayed."""


class Stored(NamedTuple):
    """Verified bytes that are here; `release` is the id of a published file's, None for what is cached.

    `source` is the upstream's file that they are, or that they were read out of; None where there is no other copy.
    `grounds` tell as long as they stand that the caller may have the file; None where that is not known.
    """

    blob: Blob
    cache_status: CacheStatus
    release: int | None = None
    source: UpstreamFile | None = None
    grounds: Grounds | None = None


class Cold(NamedTuple):
    """A file that the caller may have and that is not here yet. `size` is None where the upstream does not tell.

    `anew`: what is here of it cannot be read.
    """

    file: UpstreamFile
    size: int | None
    anew: bool = False


class Unkept(NamedTuple):
    """Core metadata that was read out of a wheel and that the disk did not take."""

    data: bytes
    sha256: Sha256


Found: TypeAlias = Stored | Cold | Unkept


class Files:
    def __init__(
        self,
        listings: Listings,
        downloads: Downloads,
        wheel_metadata: WheelMetadata,
        blobs: BlobStore,
        store: LocalStore,
        upstreams: Mapping[str, Upstream],
        clock: Clock,
    ) -> None:
        self._listings = listings
        self._downloads = downloads
        self._wheel_metadata = wheel_metadata
        self._blobs = blobs
        self._store = store
        self._provenance: LRUCache[str, bytes] = LRUCache(MAX_PROVENANCE, getsizeof=len)
        self._upstreams = upstreams
        self._clock = clock

    async def find(self, caller: Principal, scope: Scope, sha256: Sha256, filename: Filename) -> Found:
        """The file that the caller's page lists under this digest and name; raises Refused, UpstreamTrouble."""
        listed = await self._find_listed(caller, scope, sha256, filename)
        return _standing(await self._locate(listed.file), listed)

    async def find_metadata(self, caller: Principal, scope: Scope, sha256: Sha256, filename: Filename) -> Found:
        """The core metadata of a file (PEP 658), found as the file is."""
        listed = await self._find_listed(caller, scope, sha256, filename)
        return _standing(await self._locate_metadata(listed.file), listed)

    async def find_anew(self, found: Stored) -> Found:
        """The same where its blob turned out to be unreadable: from the upstream; StorageTrouble where it has none."""
        if found.source is None:
            raise StorageTrouble(UNREADABLE)
        if found.source.file.sha256 == found.blob.sha256:
            return Cold(found.source, found.source.file.size, anew=True)
        return _as_found(await self._wheel_metadata.read_anew(found.source), found.source)

    async def find_provenance(
        self, caller: Principal, scope: Scope, sha256: Sha256, filename: Filename
    ) -> tuple[bytes, CacheStatus]:
        """The provenance object of a file (PEP 740), found as the file is; raises NotFound where it has none."""
        found = (await self._find_listed(caller, scope, sha256, filename)).file
        if isinstance(found, LocalFile):
            attestations = await self._store.find_attestations(found.id)
            if attestations is None:
                raise NotFound(FILE_NOT_FOUND)
            return provenance_of(attestations), cache_status.LOCAL
        if found.file.provenance is None:
            raise NotFound(FILE_NOT_FOUND)
        return await self._fetch_provenance(found.upstream, found.file.provenance)

    async def size(self, cold: Cold) -> int | None:
        """The size of a cold file, asked for where its page does not tell it; None where nobody does."""
        if cold.size is not None:
            return cold.size
        return await self._upstreams[cold.file.upstream].fetch_size(cold.file.file.url)

    def fetch(self, cold: Cold) -> AbstractAsyncContextManager[Download | Blob]:
        """A cold file, cached while it is read; raises NotFound, UpstreamTrouble."""
        return self._downloads.open(cold.file, anew=cold.anew)

    def follow(self, download: Download, wanted: ByteRange | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes (of a range) that a download brings, also where the disk cannot keep them."""
        return bypass.follow(download, self._upstreams[download.file.upstream], wanted)

    @asynccontextmanager
    async def fetch_range(self, cold: Cold, wanted: ByteRange) -> AsyncIterator[AsyncGenerator[bytes, None] | Blob]:
        """A range of a cold file: from the running download where that is near, else from the upstream as it comes.

        An upstream that sends no ranges is asked for the whole, which is cached. The blob, where the file is here by
        now. A part cannot be verified; clients verify the whole that they assemble.
        """
        self._wheel_metadata.read_aside(cold.file)  # whoever reads a wheel in parts is after its metadata
        async with AsyncExitStack() as stack:
            yield await self._open_range(cold, wanted, stack)

    async def _fetch_provenance(self, upstream: str, url: str) -> tuple[bytes, CacheStatus]:
        if (kept := self._provenance.get(url)) is not None:
            return kept, cache_status.HIT
        fetched = await self._upstreams[upstream].fetch_provenance(url)
        if len(fetched) <= MAX_PROVENANCE:
            self._provenance[url] = fetched
        return fetched, cache_status.STORED

    async def _read_metadata(self, wheel: UpstreamFile) -> Stored | Unkept:
        """The metadata of a wheel whose upstream offers none, from here or out of the wheel itself."""
        if wheel.core_metadata and (blob := await find_readable(self._blobs, wheel.core_metadata)):
            return Stored(blob, cache_status.HIT, source=wheel)
        if not wheel.file.filename.endswith(".whl"):
            raise NotFound(FILE_NOT_FOUND)
        return _as_found(await self._wheel_metadata.get(wheel), wheel)

    async def _open_range(
        self, cold: Cold, wanted: ByteRange, stack: AsyncExitStack
    ) -> AsyncGenerator[bytes, None] | Blob:
        running = self._downloads.find(cold.file.file.sha256)
        if running is None or wanted.first > running.readable + FOLLOW_AHEAD:
            try:
                return (await stack.enter_async_context(self._relay(cold, wanted))).chunks
            except UpstreamBroken as error:
                logger.info("%s", error)
        opened = await stack.enter_async_context(self.fetch(cold))
        return opened if isinstance(opened, Blob) else self.follow(opened, wanted)

    def _relay(self, cold: Cold, wanted: ByteRange) -> AbstractAsyncContextManager[Body]:
        return open_resuming(self._upstreams[cold.file.upstream], cold.file.file, wanted)

    async def _find_listed(self, caller: Principal, scope: Scope, sha256: Sha256, filename: Filename) -> ListedFile:
        """The file among those of the projects that its name may belong to, the likeliest first.

        Raises Refused, UpstreamTrouble; trouble with one project keeps nobody from a file of another.
        """
        if refused := check_access(caller, Action.READ, scope):
            raise refused
        refusals: list[Refused] = [NotFound(FILE_NOT_FOUND)]
        trouble: UpstreamTrouble | None = None
        now = policy_time(self._clock.now())
        for name in await self._candidates(scope, filename):
            try:
                found = await self._listings.find_file(caller, scope, name, sha256, filename, now)
            except Refused as refusal:
                refusals.append(refusal)
            except UpstreamTrouble as error:
                trouble = error
            else:
                if found:
                    alone = trouble is None and len(refusals) == 1
                    return found if alone else found._replace(grounds=None)
        raise trouble or first_refusal(refusals)

    async def _candidates(self, scope: Scope, filename: Filename) -> tuple[ProjectName, ...]:
        """A name that may be a local one is looked for here alone: the question itself must not leave the machine."""
        candidates = candidate_projects(filename)
        if len(candidates) < 2:
            return candidates
        claimed = [name for name in candidates if (await self._listings.find_facts(scope, name)).claimed]
        return tuple(claimed) or candidates

    async def _locate(self, found: FoundFile) -> Found:
        if isinstance(found, LocalFile):
            return await self._local(found.digests.sha256, found.digests.size, found.release_id)
        sha256, size = found.file.sha256, found.file.size
        if self._downloads.find(sha256) or (blob := await find_readable(self._blobs, sha256)) is None:
            return Cold(found, size)
        if size not in {None, blob.size}:
            logger.warning("the cached %s has lost bytes and is fetched anew", found.file.filename)
            return Cold(found, size, anew=True)
        return Stored(blob, cache_status.HIT, source=found)

    async def _locate_metadata(self, found: FoundFile) -> Found:
        if isinstance(found, LocalFile):
            if found.core_metadata is None:
                raise NotFound(FILE_NOT_FOUND)
            return await self._local(found.core_metadata, size=None)
        if (promised := promised_metadata(found.file)) is None:
            return await self._read_metadata(found)
        companion = replace(
            found.file,
            filename=f"{found.file.filename}.metadata",
            url=f"{found.file.url}.metadata",
            hashes={"sha256": promised},
            size=None,
        )
        return await self._locate(UpstreamFile(found.upstream, found.project, companion))

    async def _local(self, sha256: Sha256, size: int | None, release: int | None = None) -> Stored:
        """A published blob; raises StorageTrouble where it is missing, or has not the `size` that it was published in.

        The size of core metadata is not known.
        """
        blob = await self._blobs.find(sha256)
        if blob is None:
            raise StorageTrouble("a published file is missing from the data directory; restore it from a backup")
        if size not in {None, blob.size}:
            raise StorageTrouble(UNREADABLE)
        return Stored(blob, cache_status.LOCAL, release)


def _standing(found: Found, listed: ListedFile) -> Found:
    """What is here stands on what the listing stood on."""
    return found._replace(grounds=listed.grounds) if isinstance(found, Stored) else found


def _as_found(metadata: Blob | bytes, wheel: UpstreamFile) -> Stored | Unkept:
    if isinstance(metadata, bytes):
        return Unkept(metadata, sha256_of(metadata))
    return Stored(metadata, cache_status.STORED, source=wheel)
