"""Room that is given up when the disk is full, so that a server can start there and say so, and a command can delete.

SQLite needs two small files even to read a database (the WAL and its shared memory), and makes them when it is opened.
All here blocks.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from proxy.disk.files import FILE_MODE, NO_SPACE, make_directory, write_all

if TYPE_CHECKING:
    from pathlib import Path

FILES: Final = 4
"""Each is an inode: two for SQLite's files, the others for what else is made on the way."""
FILE_SIZE: Final = 128 * 1024
"""Bytes; all together many times what SQLite needs to read, so that a deletion finds room in the WAL too."""

_TRIAL: Final = "trial"
_TRIAL_SIZE: Final = 64 * 1024


def lay_in_reserve(data_dir: Path) -> None:
    """Take the room that is missing, or what there is of it."""
    with suppress(OSError):
        make_directory(_folder(data_dir))
        for number in range(FILES):
            _grow(_folder(data_dir) / str(number), FILE_SIZE)


def give_up_reserve(data_dir: Path) -> bool:
    """Where the disk is full, remove the reserve; whether it was full."""
    if not _is_full(_folder(data_dir)):
        return False
    with suppress(OSError):
        for file in _folder(data_dir).iterdir():
            file.unlink(missing_ok=True)
    return True


def _folder(data_dir: Path) -> Path:
    return data_dir / "reserve"


def _is_full(folder: Path) -> bool:
    """Found out by trying: what the file system tells of its free space knows of no quota."""
    trial = folder / _TRIAL
    try:
        make_directory(folder)
        trial.unlink(missing_ok=True)
        _grow(trial, _TRIAL_SIZE)
    except OSError as error:
        return error.errno in NO_SPACE
    finally:
        with suppress(OSError):
            trial.unlink()
    return False


def _grow(path: Path, size: int) -> None:
    """Make the file so many bytes long; of noise, which no file system compresses."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
    try:
        if (missing := size - os.fstat(fd).st_size) > 0:
            write_all(fd, os.urandom(missing))
    finally:
        os.close(fd)
