"""The MetadataStore in one SQLite file."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from proxy.core.errors import StorageTrouble
from proxy.sqlite.cache import SqliteCache
from proxy.sqlite.core_metadata import SqliteCoreMetadata
from proxy.sqlite.database import open_database
from proxy.sqlite.local import SqliteLocal
from proxy.sqlite.pages import SqlitePages
from proxy.sqlite.releases import SqliteReleases
from proxy.sqlite.tokens import SqliteTokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FILENAME: Final = "pypi-sidecar.db"
"""The database's file in the data directory."""

_COUNT: Final = """
    INSERT INTO probes (id, count) VALUES (1, 1)
    ON CONFLICT (id) DO UPDATE SET count = count + 1
    RETURNING count
"""


class SqliteStore(SqlitePages, SqliteCoreMetadata, SqliteLocal, SqliteReleases, SqliteCache, SqliteTokens):
    """Each aggregate has its class and module; all share one database."""

    async def probe(self) -> None:
        async with self._database.transaction() as transaction:
            [(written,)] = await transaction.execute(_COUNT)
        [(seen,)] = await self._database.read("SELECT count FROM probes")
        # Another process may have counted on.
        if seen < written:
            raise StorageTrouble("the database does not show what was written to it")


@asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[SqliteStore]:
    """The store in the file `path`; created, or migrated to this version's format, first.

    Raises StorageTrouble when the file is foreign, damaged, unusable, or written by a newer version.
    """
    async with open_database(path) as database:
        yield SqliteStore(database)
