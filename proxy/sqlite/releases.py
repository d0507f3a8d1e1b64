"""Published releases as lists show them, and how they end: deleted, their name claimed or given back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from proxy.core.errors import NameHeld
from proxy.core.local import Release, ReleaseMetadata, ReleaseStatus, ReleaseVersion
from proxy.core.names import ProjectName
from proxy.core.releases import ReleaseOrder
from proxy.sqlite.columns import from_ids, from_instant, to_instant
from proxy.sqlite.database import Tables
from proxy.sqlite.local import local_file

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from proxy.core.local import LocalFile
    from proxy.core.releases import Page, ReleaseQuery
    from proxy.sqlite.database import Transaction

_MATCHING: Final = """
    FROM json_each(:projects) AS held CROSS JOIN local_releases ON project_id = held.value
    WHERE (:version IS NULL OR raw_version = :version)
      AND (:status IS NULL OR status = :status)
      AND NOT EXISTS (SELECT 1 FROM json_each(:words) AS word WHERE instr(name, word.value) = 0)
"""

_COUNT: Final = "SELECT count(*)" + _MATCHING

_KEYS: Final[Mapping[ReleaseOrder, str]] = {
    ReleaseOrder.CREATED_AT: "created_at",
    ReleaseOrder.NAME: "name",
    ReleaseOrder.VERSION: "raw_version",
    ReleaseOrder.TYPE: "0",  # all are of one type
    ReleaseOrder.PROJECT_PATH: "held.key",
}

_FIND: Final = "SELECT * FROM local_releases WHERE id = ? AND project_id = ?"

_VERSIONS: Final = "SELECT id, raw_version, created_at FROM releases WHERE project_id = ? AND name = ? ORDER BY id"

_FILES: Final = "SELECT * FROM local_files WHERE release_id = ? ORDER BY id"

_DELETE_FILES: Final = "DELETE FROM files WHERE id IN (SELECT value FROM json_each(?)) RETURNING release_id, name"

_DELETE_EMPTIED: Final = """
    DELETE FROM releases
    WHERE id IN (SELECT value FROM json_each(?)) AND NOT EXISTS (SELECT 1 FROM files WHERE release_id = releases.id)
"""

_CLAIM: Final = """
    INSERT INTO claims (root_id, name) SELECT ?, value FROM json_each(?) WHERE true ON CONFLICT DO NOTHING
"""

# A download may be noted after its release was deleted.
_RECORD: Final = """
    INSERT INTO release_downloads (release_id, last_downloaded_at)
    SELECT releases.id, json_extract(download.value, '$[1]')
    FROM json_each(?) AS download JOIN releases ON releases.id = json_extract(download.value, '$[0]')
    WHERE true
    ON CONFLICT (release_id) DO UPDATE SET last_downloaded_at = max(last_downloaded_at, excluded.last_downloaded_at)
"""

_HELD: Final = """
    SELECT 1 FROM files
    WHERE name = ? AND +project_id IN (SELECT value FROM json_each(?))
    LIMIT 1
"""


class SqliteReleases(Tables):
    """ReleaseStore."""

    async def list_releases(self, projects: Sequence[int], query: ReleaseQuery, page: Page) -> list[Release]:
        parameters = {**_parameters(projects, query), "limit": page.size, "offset": page.offset}
        return [_release(row) for row in await self._database.read(_list(query), parameters)]

    async def count_releases(self, projects: Sequence[int], query: ReleaseQuery) -> int:
        [(count,)] = await self._database.read(_COUNT, _parameters(projects, query))
        return int(count)

    async def find_release(self, project_id: int, release: int) -> Release | None:
        rows = await self._database.read(_FIND, (release, project_id))
        return _release(rows[0]) if rows else None

    async def list_versions(self, project_id: int, name: ProjectName) -> list[ReleaseVersion]:
        rows = await self._database.read(_VERSIONS, (project_id, name))
        return [ReleaseVersion(release, version, to_instant(created_at)) for release, version, created_at in rows]

    async def list_release_files(self, release: int) -> list[LocalFile]:
        return [local_file(row) for row in await self._database.read(_FILES, (release,))]

    async def delete_release(self, release: int, *, root: int) -> bool:
        async with self._database.publication() as transaction:
            deleted = await transaction.execute("DELETE FROM releases WHERE id = ? RETURNING name", (release,))
            await _claim(transaction, root, {name for (name,) in deleted})
        return bool(deleted)

    async def delete_files(self, files: Collection[int], *, root: int) -> int:
        async with self._database.publication() as transaction:
            deleted = await transaction.execute(_DELETE_FILES, (from_ids(files),))
            await transaction.execute(_DELETE_EMPTIED, (from_ids({row["release_id"] for row in deleted}),))
            await _claim(transaction, root, {row["name"] for row in deleted})
        return len(deleted)

    async def record_downloads(self, downloads: Mapping[int, datetime]) -> None:
        """Not durable: what a power cut undoes is a time that the next download brings again."""
        noted = json.dumps([(release, from_instant(at)) for release, at in downloads.items()])
        async with self._database.transaction(durable=False) as transaction:
            await transaction.execute(_RECORD, (noted,))

    async def release_name(self, root: int, projects: Collection[int], name: ProjectName) -> bool:
        async with self._database.publication() as transaction:
            if await transaction.execute(_HELD, (name, from_ids(projects))):
                raise NameHeld(f"{name} still has files; delete them first")
            released = await transaction.execute(
                "DELETE FROM claims WHERE root_id = ? AND name = ? RETURNING name", (root, name)
            )
        return bool(released)


async def _claim(transaction: Transaction, root: int, names: Collection[str]) -> None:
    """Keep names that lose files, also where the project came here from another group and its claim did not."""
    await transaction.execute(_CLAIM, (root, json.dumps([*names])))


def _list(query: ReleaseQuery) -> str:
    """The statement for a page: which releases is found out in the index alone, then their rows are read."""
    direction = "DESC" if query.descending else "ASC"
    order = f"{_KEYS[query.order]} {direction}, local_releases.id {direction}"
    return f"""
        WITH page (release_id, place) AS (
          SELECT local_releases.id, row_number() OVER (ORDER BY {order}) {_MATCHING}
          ORDER BY 2 LIMIT :limit OFFSET :offset
        )
        SELECT local_releases.* FROM page CROSS JOIN local_releases ON id = release_id ORDER BY place
    """  # noqa: S608  (nothing of it comes from outside)


def _parameters(projects: Sequence[int], query: ReleaseQuery) -> dict[str, object]:
    return {
        "projects": from_ids(projects),
        "words": json.dumps(query.words),
        "version": query.version,
        "status": query.status,
    }


def _release(row: sqlite3.Row) -> Release:
    downloaded = row["last_downloaded_at"]
    return Release(
        id=row["id"],
        project_id=row["project_id"],
        name=ProjectName(row["name"]),
        raw_name=row["raw_name"],
        version=row["raw_version"],
        status=ReleaseStatus(row["status"]),
        created_at=to_instant(row["created_at"]),
        last_downloaded_at=None if downloaded is None else to_instant(downloaded),
        requires_python=row["requires_python"],
        metadata=ReleaseMetadata(*(row[field] for field in ReleaseMetadata.__struct_fields__)),
    )
