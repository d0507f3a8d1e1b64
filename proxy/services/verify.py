"""Verifying: every blob is read again and compared with its digest; a repair takes what is wrong out of the store.

A bad cached blob is deleted, and fetched again when somebody asks for it. A bad published one is put aside, so that
its file answers that a backup is needed, and never wrong bytes.

A server may run beside it. Blobs are read before the rows that name them, so that a blob of an upload under way is not
taken for a cached one, and what is missing counts when the rows, asked again, still name it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from proxy.core.errors import StorageTrouble
from proxy.services.findings import Fault, Finding, list_rows

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.core.digests import Sha256
    from proxy.ports import BlobStore, CacheStore, Clock


class Verified(NamedTuple):
    """What became of some blobs. Of the `intact` ones so many are `unreferenced`: a sweep removes those."""

    intact: int
    unreferenced: int
    findings: tuple[Finding, ...]


class Verifier:
    """Changes nothing unless it is to `repair`."""

    def __init__(self, store: CacheStore, blobs: BlobStore, clock: Clock, *, repair: bool) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._repair = repair

    async def verify(self, prefix: str) -> Verified:
        """Read the blobs whose digests begin with `prefix` (of `PREFIXES`); raises StorageTrouble."""
        began = self._clock.now()
        intact = {blob.sha256: await self._is_intact(blob.sha256) for blob in await self._blobs.list_blobs(prefix)}
        rows = await list_rows(self._store, prefix)
        # What was not listed came meanwhile, or is missing.
        intact |= {sha256: await self._is_intact(sha256) for sha256 in sorted(rows.named - intact.keys())}
        if None in intact.values():
            rows = await list_rows(self._store, prefix)  # what was deleted or evicted meanwhile is named no more
        found = [finding for sha256, state in intact.items() if (finding := rows.judge(sha256, intact=state))]
        whole = {sha256 for sha256, state in intact.items() if state}
        if self._repair:
            found = [finding._replace(repaired=await self._mend(finding, began)) for finding in found]
        return Verified(len(whole), len(whole - rows.named), tuple(found))

    async def _is_intact(self, sha256: Sha256) -> bool | None:
        try:
            return await self._blobs.is_intact(sha256)
        except StorageTrouble:  # a bad sector: what cannot be read is not intact, and no reason to stop
            return False

    async def _mend(self, finding: Finding, began: datetime) -> bool:
        """Whether it was mended; if not, as while a backup is made, the next run may."""
        try:
            match finding.fault:
                case Fault.BAD_PUBLISHED:
                    return await self._blobs.quarantine(finding.sha256)
                case Fault.BAD_CACHED:
                    return await self._drop(finding.sha256, began)
                case Fault.MISSING_CACHED:
                    await self._store.forget_cached([finding.sha256])
                    return True
                case Fault.MISSING_PUBLISHED:
                    return False
        except StorageTrouble:
            return False

    async def _drop(self, sha256: Sha256, began: datetime) -> bool:
        """Not one that was committed since: it has the right bytes again, and perhaps a published file's row."""
        dropped = await self._blobs.delete(sha256, older_than=began)
        if dropped:
            await self._store.forget_cached([sha256])
        return dropped
