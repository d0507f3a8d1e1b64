"""Copying blobs into a backup, or back from one: those that the copied rows name, each compared with its digest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from proxy.services.findings import Fault, list_rows

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.core.digests import Sha256
    from proxy.ports import BlobStore, BlobWriter, CacheStore
    from proxy.services.findings import Finding

_READ_SIZE = 1024 * 1024


class Copied(NamedTuple):
    """How many blobs were copied, their bytes, and what was lost: bad ones, and missing ones of published files."""

    blobs: int
    size: int
    findings: tuple[Finding, ...]


class Copier:
    """Fills `target` with what the `rows` of the copy name. Wrong bytes are not copied, and each such blob is told.

    The row of a published file stays without its blob: its name stays claimed, and whoever asks for it is told that a
    backup is needed. The row of a cached one goes, and it is fetched again.
    """

    def __init__(self, rows: CacheStore, source: BlobStore, target: BlobStore, *, with_cached: bool) -> None:
        self._rows = rows
        self._source = source
        self._target = target
        self._with_cached = with_cached

    async def copy(self, prefix: str) -> Copied:
        """Copy the blobs whose digests begin with `prefix` (of `PREFIXES`); raises StorageTrouble."""
        rows = await list_rows(self._rows, prefix)
        wanted = rows.named if self._with_cached else rows.published.keys()
        outcomes = {sha256: await self._copy(sha256) for sha256 in sorted(wanted)}
        copied = {sha256: outcome.size for sha256, outcome in outcomes.items() if outcome.intact}
        if gone := rows.cached - copied.keys():
            await self._rows.forget_cached(gone)
        found = [rows.judge(sha256, intact=outcome.intact) for sha256, outcome in outcomes.items()]
        lost = [finding for finding in found if finding and finding.fault is not Fault.MISSING_CACHED]
        return Copied(len(copied), sum(copied.values()), tuple(lost))

    async def _copy(self, sha256: Sha256) -> _Outcome:
        blob = await self._source.find(sha256)
        if blob is None:
            return _Outcome(intact=None)
        part = await self._target.writer()
        try:
            intact = await _pour(blob.path, part) and part.digests().sha256 == sha256
            if intact:
                await part.commit()
            return _Outcome(intact, part.size)
        finally:
            await part.close()


class _Outcome(NamedTuple):
    """`intact` as `BlobStore.is_intact` has it."""

    intact: bool | None
    size: int = 0


async def _pour(path: Path, part: BlobWriter) -> bool:
    """Write all of a file into the part; whether it could be read. Raises StorageTrouble of the part."""
    try:
        with await asyncio.to_thread(path.open, "rb", buffering=0) as file:
            while data := await asyncio.to_thread(file.read, _READ_SIZE):
                await part.write(data)
    except OSError:
        return False
    return True
