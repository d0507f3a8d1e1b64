"""What is known of cached blobs. No write is durable: a lost row is a file that is fetched, or noted, again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.sqlite.columns import from_instant
from proxy.sqlite.database import Tables

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.core.digests import Sha256

_RECORD: Final = """
    INSERT INTO cached_blobs (sha256, size, stored_at, used_at) VALUES (:sha256, :size, :now, :now)
    ON CONFLICT (sha256) DO UPDATE SET
      size = excluded.size,
      stored_at = excluded.stored_at,
      used_at = excluded.used_at
"""


class SqliteCache(Tables):
    """CacheStore."""

    async def record_cached(self, sha256: Sha256, size: int, now: datetime) -> None:
        async with self._database.transaction(durable=False) as transaction:
            await transaction.execute(_RECORD, {"sha256": sha256, "size": size, "now": from_instant(now)})

    async def record_use(self, sha256: Sha256, now: datetime) -> None:
        """Only cached blobs are counted; another digest changes nothing."""
        async with self._database.transaction(durable=False) as transaction:
            await transaction.execute(
                "UPDATE cached_blobs SET used_at = ? WHERE sha256 = ?", (from_instant(now), sha256)
            )
