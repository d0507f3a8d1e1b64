"""The database file's identity and format.

`application_id` says that the file is ours, `user_version` which numbered migration it has reached. A migration and
its number are one transaction: a kill in its middle leaves the former format whole. Everything here blocks; call it in
a thread.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.resources import files
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from proxy.core.errors import StorageTrouble
from proxy.sqlite.trouble import storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

APPLICATION_ID: Final = int.from_bytes(b"PySC")
BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait while another process writes."""

_OLDEST_SQLITE: Final = (3, 37, 0)  # the first with STRICT tables


class Migration(NamedTuple):
    """The statements that bring a database of the format before to `format`."""

    format: int
    statements: tuple[str, ...]


def prepare(path: Path, migrations: Sequence[Migration]) -> None:
    """Make the file at `path` a database of the newest format, created where there was none.

    Raises StorageTrouble, and leaves the file as it was, when it is foreign, newer than `migrations`, or unusable.
    """
    _check_library()
    with (
        storage_errors(f"the database {path}"),
        closing(
            sqlite3.connect(database_uri(path, "rwc"), uri=True, isolation_level=None, timeout=BUSY_TIMEOUT)
        ) as connection,
    ):
        check_identity(connection, path, newest=migrations[-1].format)
        _enable_wal(connection, path)
        for migration in migrations:
            if _format_of(connection) < migration.format:
                _apply(connection, migration)


def database_uri(path: Path, mode: Literal["rw", "rwc"]) -> str:
    """SQLite's name for the file; `rw` fails where there is none, `rwc` creates it."""
    return f"{path.absolute().as_uri()}?mode={mode}"


def load_migrations() -> tuple[Migration, ...]:
    """The migrations of this version, oldest first. `0002_tokens.sql` leads from format 1 to format 2."""
    folder = files("proxy.sqlite") / "migrations"
    scripts = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name
    )
    return tuple(
        Migration(int(script.name.partition("_")[0]), tuple(_statements(script.read_text("utf-8"))))
        for script in scripts
    )


def _statements(script: str) -> Iterator[str]:
    """One at a time, because `executescript` would commit what came before."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def _check_library() -> None:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        oldest = ".".join(map(str, _OLDEST_SQLITE))
        raise StorageTrouble(f"SQLite {oldest} or newer is needed; this Python comes with {sqlite3.sqlite_version}")


def check_identity(connection: sqlite3.Connection, path: Path, newest: int) -> None:
    """Raises StorageTrouble unless the database is empty, or ours in a format up to `newest`."""
    with connection:
        connection.execute("BEGIN")  # one snapshot: another process may be making the database right now
        application, version = _pragma(connection, "application_id"), _format_of(connection)
        is_new = application == version == 0 and _is_empty(connection)
    if is_new:
        return
    if application != APPLICATION_ID:
        raise StorageTrouble(f"{path} is a database of another program; move it away or choose another data directory")
    if version > newest:
        raise StorageTrouble(
            f"{path} was written by a newer pypi-sidecar (format {version}); this one knows up to {newest}"
        )


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is None


def _format_of(connection: sqlite3.Connection) -> int:
    return _pragma(connection, "user_version")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)


def _enable_wal(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StorageTrouble(f"{path} cannot be shared safely here (no WAL); keep it on a local file system")


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if _format_of(connection) >= migration.format:
            return  # another process was first
        for statement in migration.statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {migration.format}")
