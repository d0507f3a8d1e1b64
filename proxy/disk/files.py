"""What the store asks of the operating system, each with its durability. All block; all raise OSError."""

from __future__ import annotations

import errno
import os
import sys
import time
from io import FileIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform == "darwin":
    from fcntl import F_FULLFSYNC, fcntl

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


def create_file(path: Path) -> FileIO:
    """A new unbuffered file to write and read; it complains (ResourceWarning) when it is dropped unclosed."""
    return FileIO(path, "xb+", opener=lambda name, flags: os.open(name, flags, FILE_MODE))


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`: one call may take only a part of it (a nearly full disk, or more than 2 GiB)."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def sync(fd: int) -> None:
    """Return when the file's bytes survive a power cut."""
    if sys.platform == "darwin":
        # There fsync stops at the drive's own cache; what cannot do better (a network volume) says so.
        try:
            fcntl(fd, F_FULLFSYNC)
        except OSError as error:
            if error.errno not in {errno.ENOTSUP, errno.EINVAL, errno.ENOTTY}:
                raise
        else:
            return
    os.fsync(fd)


def make_young(fd: int) -> None:
    """Make now the file's age: by this clock, as the kernel's own is some milliseconds behind."""
    now = time.time_ns()
    os.utime(fd, ns=(now, now))


def sync_directory(path: Path) -> None:
    """Return when the entries of the directory (files made, renamed, removed) survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(fd)
    finally:
        os.close(fd)


def make_directory(path: Path) -> None:
    """Make a directory and its missing parents, each entry durable; one that is there is left as it is."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    sync_directory(path.parent)
