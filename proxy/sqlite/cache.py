"""What is known of cached blobs, and the room that the cache takes.

No write is durable: a lost row is a file that is fetched, or noted, again. Each statement that may touch many rows
holds the writer for a bounded time.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from proxy.core.digests import Sha256
from proxy.core.names import ProjectName
from proxy.ports import CachedBlob, CacheSize, PublishedBlob
from proxy.sqlite.columns import from_instant, to_instant
from proxy.sqlite.database import Tables

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from proxy.ports import Use

_PAGES_AT_ONCE: Final = 500

_RECORD: Final = """
    INSERT INTO cached_blobs (sha256, size, stored_at, used_at) VALUES (:sha256, :size, :now, :now)
    ON CONFLICT (sha256) DO UPDATE SET
      size = excluded.size,
      stored_at = excluded.stored_at,
      used_at = excluded.used_at
"""

_RECORD_USES: Final = """
    INSERT INTO cached_blobs (sha256, size, stored_at, used_at)
    SELECT blob.sha256, blob.size, blob.used_at, blob.used_at
    FROM (
      SELECT json_extract(value, '$[0]') AS sha256, json_extract(value, '$[1]') AS size,
        json_extract(value, '$[2]') AS used_at
      FROM json_each(?)
    ) AS blob
    WHERE NOT EXISTS (SELECT 1 FROM files WHERE files.sha256 = blob.sha256)
      AND NOT EXISTS (SELECT 1 FROM files WHERE files.core_metadata = blob.sha256)
    ON CONFLICT (sha256) DO UPDATE SET used_at = max(used_at, excluded.used_at)
"""

_BLOBS_SIZE: Final = "SELECT coalesce(sum(size), 0) FROM evictable_blobs"
_PAGES_SIZE: Final = "SELECT coalesce(sum(size), 0) FROM pages"

_LEAST_USED: Final = "SELECT sha256, size, used_at FROM evictable_blobs ORDER BY used_at, sha256 LIMIT ?"

# A digest is lower-case hex, so that all with a prefix lie between it and the prefix with a "g".
_CACHED: Final = """
    SELECT sha256, size, used_at FROM cached_blobs
    WHERE sha256 >= :prefix AND sha256 < :prefix || 'g'
    ORDER BY sha256
"""

# Of several files that name a blob one is told: SQLite takes the other columns from the row that has the minimum.
_PUBLISHED: Final = """
    SELECT sha256, project_id, name, filename, min(place) FROM published_blobs
    WHERE sha256 >= :prefix AND sha256 < :prefix || 'g'
    GROUP BY sha256 ORDER BY sha256
"""

_FORGET: Final = "DELETE FROM cached_blobs WHERE sha256 IN (SELECT value FROM json_each(?))"

_DELETE_PAGES: Final = """
    DELETE FROM pages WHERE id IN (
      SELECT id FROM (
        SELECT id, sum(size) OVER (ORDER BY checked_at, id ROWS UNBOUNDED PRECEDING) - size AS freed_before
        FROM (SELECT id, checked_at, size FROM pages ORDER BY checked_at, id LIMIT :limit)
      )
      WHERE freed_before < :excess
    )
    RETURNING size
"""


class SqliteCache(Tables):
    """CacheStore."""

    async def record_cached(self, sha256: Sha256, size: int, now: datetime) -> None:
        async with self._database.transaction(durable=False) as transaction:
            await transaction.execute(_RECORD, {"sha256": sha256, "size": size, "now": from_instant(now)})

    async def record_uses(self, uses: Mapping[Sha256, Use]) -> None:
        noted = json.dumps([(sha256, use.size, from_instant(use.at)) for sha256, use in uses.items()])
        async with self._database.transaction(durable=False) as transaction:
            await transaction.execute(_RECORD_USES, (noted,))

    async def measure_cache(self) -> CacheSize:
        [(blobs,)] = await self._database.read(_BLOBS_SIZE)
        [(pages,)] = await self._database.read(_PAGES_SIZE)
        return CacheSize(blobs, pages)

    async def list_least_used(self, limit: int) -> list[CachedBlob]:
        return [_cached(row) for row in await self._database.read(_LEAST_USED, (limit,))]

    async def list_cached(self, prefix: str) -> list[CachedBlob]:
        return [_cached(row) for row in await self._database.read(_CACHED, {"prefix": prefix})]

    async def list_published(self, prefix: str) -> list[PublishedBlob]:
        rows = await self._database.read(_PUBLISHED, {"prefix": prefix})
        return [PublishedBlob(Sha256(blob), project, ProjectName(name), file) for blob, project, name, file, _ in rows]

    async def forget_cached(self, blobs: Collection[Sha256]) -> None:
        async with self._database.transaction(durable=False) as transaction:
            await transaction.execute(_FORGET, (json.dumps([*blobs]),))

    async def delete_oldest_pages(self, room: int) -> int:
        [(held,)] = await self._database.read(_PAGES_SIZE)
        freed = 0
        while held - freed > room:
            excess = held - freed - room
            async with self._database.transaction(durable=False) as transaction:
                deleted = await transaction.execute(_DELETE_PAGES, {"limit": _PAGES_AT_ONCE, "excess": excess})
            if not deleted:  # by another process
                break
            freed += sum(size for (size,) in deleted)
        return freed


def _cached(row: sqlite3.Row) -> CachedBlob:
    return CachedBlob(Sha256(row["sha256"]), row["size"], to_instant(row["used_at"]))
