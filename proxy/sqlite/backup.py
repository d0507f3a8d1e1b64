"""Copies of the database, taken while others write to it. Everything here blocks; call it in a thread."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from proxy.core.errors import StorageTrouble
from proxy.sqlite.migrate import BUSY_TIMEOUT, check_identity, database_uri, load_migrations
from proxy.sqlite.trouble import storage_errors

if TYPE_CHECKING:
    from pathlib import Path

_FILE_MODE: Final = 0o600
_PAGES: Final = 1024
"""Of one step, between which the process can be interrupted."""


def check_database(path: Path) -> None:
    """Raises StorageTrouble unless the file is a database of ours in a format that this version knows."""
    with storage_errors(f"the database {path}"), closing(_connect(path)) as connection:
        check_identity(connection, path, newest=load_migrations()[-1].format)


def copy_database(source: Path, target: Path) -> None:
    """Copy the database as it is now into `target`, which is not there yet; raises StorageTrouble.

    All steps are in one read transaction: the copy is of one moment, and in WAL mode nobody waits for it. Without that
    transaction each commit of another process would make SQLite's online backup begin anew.
    """
    with storage_errors("the copy of the database"):
        _create_file(target)
        with closing(_connect(source)) as reading, closing(_connect(target)) as copy:
            reading.execute("BEGIN")
            reading.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()  # the moment
            reading.backup(copy, pages=_PAGES)
            (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StorageTrouble(f"the database {source} is damaged ({verdict}); restore a backup")


def seal_database(path: Path) -> None:
    """Make a database that nobody has open one file that needs none beside it, so that it can be renamed and copied.

    What was written to it has been fsynced then.
    """
    with storage_errors("the copy of the database"), closing(_connect(path)) as connection:
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA journal_mode = DELETE")


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(database_uri(path, "rw"), uri=True, isolation_level=None, timeout=BUSY_TIMEOUT)


def _create_file(path: Path) -> None:
    """An empty file, which SQLite takes for a new database, and gives its journals the same mode."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE))
    except OSError as error:
        raise StorageTrouble(f"{path} cannot be made: {error.strerror}") from error
