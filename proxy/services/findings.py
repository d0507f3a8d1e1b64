"""What can be wrong with a blob, by who needs it and by what the rows say."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from proxy.core.digests import Sha256
    from proxy.ports import CacheStore, PublishedBlob


class Fault(StrEnum):
    """Bad: the bytes have not the digest, or cannot be read. Missing: a row names what is not there."""

    BAD_PUBLISHED = "bad-published"
    MISSING_PUBLISHED = "missing-published"
    BAD_CACHED = "bad-cached"
    MISSING_CACHED = "missing-cached"


class Finding(NamedTuple):
    """`file` is one that was published with these bytes; None where they were cached."""

    fault: Fault
    sha256: Sha256
    file: PublishedBlob | None = None
    repaired: bool = False


class Rows(NamedTuple):
    """What the rows name among the digests with one prefix."""

    published: Mapping[Sha256, PublishedBlob]
    cached: AbstractSet[Sha256]

    @property
    def named(self) -> AbstractSet[Sha256]:
        return self.published.keys() | self.cached

    def judge(self, sha256: Sha256, *, intact: bool | None) -> Finding | None:
        """What is wrong with a blob, which is `intact` as BlobStore tells it: None where it is absent.

        Bad bytes that no row names are the cache's: a file that an upstream's page lists would be served from them.
        """
        if intact:
            return None
        if file := self.published.get(sha256):
            return Finding(Fault.MISSING_PUBLISHED if intact is None else Fault.BAD_PUBLISHED, sha256, file)
        if intact is not None:
            return Finding(Fault.BAD_CACHED, sha256)
        return Finding(Fault.MISSING_CACHED, sha256) if sha256 in self.cached else None


async def list_rows(store: CacheStore, prefix: str) -> Rows:
    published = {row.sha256: row for row in await store.list_published(prefix)}
    cached = {row.sha256 for row in await store.list_cached(prefix)}
    return Rows(published, cached - published.keys())
