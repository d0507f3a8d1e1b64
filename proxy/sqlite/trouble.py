"""SQLite's errors as the domain's. Result codes alone tell them apart: SQLite's words change between versions."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from proxy.core.errors import StorageFull, StorageTrouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NO_SPACE: Final = "cannot grow: no space is left on its disk"
_FULL: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_FULL: _NO_SPACE,
    # The WAL's shared memory file could not grow, which SQLite reports apart.
    sqlite3.SQLITE_IOERR_SHMSIZE: _NO_SPACE,
    # SQLite knows ENOSPC alone: of a quota (EDQUOT) it says what it says of a write that the disk refused.
    sqlite3.SQLITE_IOERR_WRITE: "cannot grow: its quota is used up, or its disk takes no more writes",
}

_WHAT_TO_DO: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_BUSY: "is locked by another process; try again",
    sqlite3.SQLITE_LOCKED: "is locked; try again",
    sqlite3.SQLITE_CORRUPT: "is damaged; restore a backup",
    sqlite3.SQLITE_NOTADB: "is damaged or is not a SQLite database; restore a backup",
    sqlite3.SQLITE_READONLY: "cannot be written; check the permissions of the file and of its directory",
    sqlite3.SQLITE_PERM: "cannot be written; check the permissions of the file and of its directory",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that its directory exists and can be written",
    sqlite3.SQLITE_IOERR: "cannot be read or written; check the disk",
}


@contextmanager
def storage_errors(subject: str = "the database") -> Iterator[None]:
    """Raise what SQLite raises inside as StorageTrouble, or StorageFull where no space is left.

    `subject` begins the message. Name no path in it once requests are served: a message can reach a client.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error, subject) from error


def _translate(error: sqlite3.Error, subject: str) -> StorageTrouble:
    # Errors of the Python module itself (a closed connection) carry no code.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    primary = code & 0xFF
    if code in _FULL:
        return StorageFull(f"{subject} {_FULL[code]}")
    return StorageTrouble(f"{subject} {_WHAT_TO_DO.get(primary, 'failed')} ({_code_name(error)})")


def _code_name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", type(error).__name__)
