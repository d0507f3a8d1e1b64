"""The CacheStore of MemoryMetadataStore, over its files and its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from proxy.ports import CachedBlob, CacheSize, PublishedBlob

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from proxy.core.digests import Sha256
    from proxy.core.local import LocalFile
    from proxy.core.model import PageEntry
    from proxy.core.names import ProjectName
    from proxy.ports import Use


class MemoryCache:
    files: list[LocalFile]  # MemoryReleases has them

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[tuple[str, ProjectName], PageEntry] = {}
        self.cached: dict[Sha256, CachedBlob] = {}

    async def record_cached(self, sha256: Sha256, size: int, now: datetime) -> None:
        await self._turn()
        self.cached[sha256] = CachedBlob(sha256, size, now)

    async def record_uses(self, uses: Mapping[Sha256, Use]) -> None:
        await self._turn()
        published = self._published()
        for sha256, use in uses.items():
            if sha256 not in published:
                known = self.cached.get(sha256, CachedBlob(sha256, use.size, use.at))
                self.cached[sha256] = known._replace(used_at=max(known.used_at, use.at))

    async def measure_cache(self) -> CacheSize:
        await self._turn()
        return CacheSize(sum(blob.size for blob in self._evictable()), sum(map(_size, self.pages.values())))

    async def list_least_used(self, limit: int) -> Sequence[CachedBlob]:
        await self._turn()
        return sorted(self._evictable(), key=lambda blob: (blob.used_at, blob.sha256))[:limit]

    async def list_cached(self, prefix: str) -> Sequence[CachedBlob]:
        await self._turn()
        return sorted(blob for blob in self.cached.values() if blob.sha256.startswith(prefix))

    async def list_published(self, prefix: str) -> Sequence[PublishedBlob]:
        await self._turn()
        return sorted(blob for blob in self._published().values() if blob.sha256.startswith(prefix))

    async def forget_cached(self, blobs: Collection[Sha256]) -> None:
        await self._turn()
        for sha256 in blobs:
            self.cached.pop(sha256, None)

    async def delete_oldest_pages(self, room: int) -> int:
        await self._turn()
        freed, excess = 0, sum(map(_size, self.pages.values())) - room
        for key, entry in sorted(self.pages.items(), key=lambda item: item[1].checked_at):
            if freed >= excess:
                break
            freed += _size(entry)
            del self.pages[key]
        return freed

    def _evictable(self) -> list[CachedBlob]:
        published = self._published()
        return [blob for blob in self.cached.values() if blob.sha256 not in published]

    def _published(self) -> dict[Sha256, PublishedBlob]:
        found: dict[Sha256, PublishedBlob] = {}
        for file in sorted(self.files, key=lambda file: file.id):
            named = ((file.digests.sha256, file.filename), (file.core_metadata, f"{file.filename}.metadata"))
            for sha256, filename in named:
                if sha256 is not None:
                    found.setdefault(sha256, PublishedBlob(sha256, file.project_id, file.name, filename))
        return found

    async def _turn(self) -> None:
        raise NotImplementedError  # a mixin: MemoryMetadataStore has it


def _size(entry: PageEntry) -> int:
    """Bytes, about as a real store has them."""
    return len(msgspec.msgpack.encode(entry.detail))
