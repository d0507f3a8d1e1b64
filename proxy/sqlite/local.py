"""What was published here: releases, their files, the claims on names and the status of projects.

A release is what GitLab calls a package: unique by project id, raw name and raw version. Its files belong to it; the
last upload's form decides its metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.core.digests import Digests, Sha256
from proxy.core.distributions import Kind
from proxy.core.errors import NameTaken
from proxy.core.local import LocalFile
from proxy.core.model import ProjectStatus, Status
from proxy.core.names import Filename, ProjectName
from proxy.core.policy import LocalFacts
from proxy.sqlite.columns import from_ids, from_instant, to_instant
from proxy.sqlite.database import Tables

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection
    from datetime import datetime

    from proxy.core.local import NewFile
    from proxy.sqlite.database import Transaction

# The `+` keeps SQLite from seeking once for each of thousands of project ids: few rows have the name, so find those.
_FACTS: Final = """
    SELECT DISTINCT project_id FROM files
    WHERE name = :name AND +project_id IN (SELECT value FROM json_each(:projects))
    UNION ALL
    SELECT NULL FROM claims WHERE root_id = :root AND name = :name
"""

_CLAIM: Final = "INSERT INTO claims (root_id, name) VALUES (?, ?) ON CONFLICT DO NOTHING"

_SAVE_RELEASE: Final = """
    INSERT INTO releases (
      project_id, name, raw_name, raw_version, created_at, requires_python,
      metadata_version, author_email, summary, description, description_content_type, keywords
    ) VALUES (
      :project_id, :name, :raw_name, :raw_version, :created_at, :requires_python,
      :metadata_version, :author_email, :summary, :description, :description_content_type, :keywords
    )
    ON CONFLICT (project_id, raw_name, raw_version) DO UPDATE SET
      requires_python = excluded.requires_python,
      metadata_version = excluded.metadata_version,
      author_email = excluded.author_email,
      summary = excluded.summary,
      description = excluded.description,
      description_content_type = excluded.description_content_type,
      keywords = excluded.keywords
    RETURNING id
"""

_ADD_FILE: Final = """
    INSERT INTO files (
      release_id, project_id, name, filename, kind, sha256, blake2b, md5, size,
      requires_python, core_metadata, attestations, uploaded_at, published_by
    ) VALUES (
      :release_id, :project_id, :name, :filename, :kind, :sha256, :blake2b, :md5, :size,
      :requires_python, :core_metadata, :attestations, :uploaded_at, :published_by
    )
    ON CONFLICT (project_id, filename) DO NOTHING
    RETURNING id
"""

_FILES_OF_NAME: Final = """
    SELECT * FROM local_files
    WHERE name = ? AND +project_id IN (SELECT value FROM json_each(?))
    ORDER BY id
"""

_FILES_OF_DIGEST: Final = """
    SELECT * FROM local_files
    WHERE sha256 = ? AND filename = ? AND +project_id IN (SELECT value FROM json_each(?))
    ORDER BY id DESC LIMIT 1
"""

_NAMES: Final = """
    SELECT DISTINCT name FROM files
    WHERE project_id IN (SELECT value FROM json_each(?))
    ORDER BY name
"""

_STATUSES: Final = """
    SELECT status, reason FROM project_status
    WHERE name = ? AND +project_id IN (SELECT value FROM json_each(?))
    ORDER BY project_id
"""

_SAVE_STATUS: Final = """
    INSERT INTO project_status (name, project_id, status, reason) VALUES (?, ?, ?, ?)
    ON CONFLICT (name, project_id) DO UPDATE SET status = excluded.status, reason = excluded.reason
"""

_SAVE_YANK: Final = "UPDATE files SET yanked = ? WHERE id IN (SELECT value FROM json_each(?))"

_SEVEREST_FIRST: Final = (Status.QUARANTINED, Status.ARCHIVED, Status.DEPRECATED, Status.ACTIVE)


class SqliteLocal(Tables):
    """LocalStore."""

    def generation(self) -> bytes:
        return self._database.generation.look()

    async def find_facts(self, root: int, projects: Collection[int], name: ProjectName) -> LocalFacts:
        """A file in one of `projects` counts as a claim: the project may have come here from another group."""
        parameters = {"root": root, "projects": from_ids(projects), "name": name}
        found = {project_id for (project_id,) in await self._database.read(_FACTS, parameters)}
        return LocalFacts(claimed=bool(found), holders=frozenset(found - {None}))

    async def publish(self, file: NewFile, *, root: int, now: datetime) -> LocalFile:
        async with self._database.publication() as transaction:
            await transaction.execute(_CLAIM, (root, file.name))
            release_id = await _save_release(transaction, file, now)
            file_id = await _add_file(transaction, file, release_id, now)
            (row,) = await transaction.execute("SELECT * FROM local_files WHERE id = ?", (file_id,))
            return local_file(row)

    async def list_files(self, projects: Collection[int], name: ProjectName) -> list[LocalFile]:
        rows = await self._database.read(_FILES_OF_NAME, (name, from_ids(projects)))
        return [local_file(row) for row in rows]

    async def list_names(self, projects: Collection[int]) -> list[ProjectName]:
        return [ProjectName(name) for (name,) in await self._database.read(_NAMES, (from_ids(projects),))]

    async def find_status(self, projects: Collection[int], name: ProjectName) -> ProjectStatus | None:
        """The severest where several projects have one: a quarantine must not be lifted by a neighbour."""
        rows = await self._database.read(_STATUSES, (name, from_ids(projects)))
        found = [ProjectStatus(Status(status), reason) for status, reason in rows]
        return min(found, key=lambda one: _SEVEREST_FIRST.index(one.status), default=None)

    async def save_status(self, project_id: int, name: ProjectName, status: ProjectStatus) -> None:
        async with self._database.publication() as transaction:
            await transaction.execute(_SAVE_STATUS, (name, project_id, status.status, status.reason))

    async def save_yank(self, files: Collection[int], reason: str | None) -> None:
        async with self._database.publication() as transaction:
            await transaction.execute(_SAVE_YANK, (reason, from_ids(files)))

    async def find_attestations(self, file: int) -> str | None:
        rows = await self._database.read("SELECT attestations FROM files WHERE id = ?", (file,))
        return rows[0]["attestations"] if rows else None

    async def find_file(self, projects: Collection[int], sha256: Sha256, filename: Filename) -> LocalFile | None:
        rows = await self._database.read(_FILES_OF_DIGEST, (sha256, filename, from_ids(projects)))
        return local_file(rows[0]) if rows else None


async def _save_release(transaction: Transaction, file: NewFile, now: datetime) -> int:
    """The id of the file's release, which now says what this upload says."""
    metadata = file.metadata
    columns = {
        "project_id": file.project_id,
        "name": file.name,
        "raw_name": file.raw_name,
        "raw_version": file.version,
        "created_at": from_instant(now),
        "requires_python": file.requires_python,
        "metadata_version": metadata.metadata_version,
        "author_email": metadata.author_email,
        "summary": metadata.summary,
        "description": metadata.description,
        "description_content_type": metadata.description_content_type,
        "keywords": metadata.keywords,
    }
    [(release_id,)] = await transaction.execute(_SAVE_RELEASE, columns)
    return int(release_id)


async def _add_file(transaction: Transaction, file: NewFile, release_id: int, now: datetime) -> int:
    """The id of the new file; raises NameTaken, with GitLab's words that clients look for."""
    columns = {
        "release_id": release_id,
        "project_id": file.project_id,
        "name": file.name,
        "filename": file.filename,
        "kind": file.kind,
        **file.digests._asdict(),
        "requires_python": file.requires_python,
        "core_metadata": file.core_metadata,
        "attestations": file.attestations,
        "uploaded_at": from_instant(now),
        "published_by": file.published_by,
    }
    added = await transaction.execute(_ADD_FILE, columns)
    if not added:
        raise NameTaken("Validation failed: File name has already been taken")
    return int(added[0]["id"])


def local_file(row: sqlite3.Row) -> LocalFile:
    return LocalFile(
        id=row["id"],
        release_id=row["release_id"],
        project_id=row["project_id"],
        name=ProjectName(row["name"]),
        raw_name=row["raw_name"],
        version=row["raw_version"],
        filename=Filename(row["filename"]),
        kind=Kind(row["kind"]),
        digests=Digests(Sha256(row["sha256"]), row["blake2b"], row["md5"], row["size"]),
        requires_python=row["requires_python"],
        core_metadata=row["core_metadata"],
        has_provenance=bool(row["has_provenance"]),
        uploaded_at=to_instant(row["uploaded_at"]),
        published_by=row["published_by"],
        yanked=row["yanked"],
    )
