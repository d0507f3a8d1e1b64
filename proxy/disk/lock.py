"""One server, one data directory."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from proxy.core.errors import StorageFull, StorageTrouble
from proxy.disk.files import FILE_MODE, NO_SPACE, make_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NOT_A_DIRECTORY = frozenset({errno.ENOTDIR, errno.EEXIST})
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def make_data_dir(path: Path) -> None:
    """Make the directory where there is none; raises StorageTrouble when it cannot be had."""
    try:
        make_directory(path)
    except OSError as error:
        raise _explained(path, error) from error


@contextmanager
def hold_data_dir(path: Path) -> Iterator[None]:
    """Make the directory if need be and hold it until the block ends; raises StorageTrouble when it cannot be had.

    The lock is flock(2)'s: the kernel drops it when the process is gone, however it went, so a file that a killed
    server left says nothing. Worker processes that are forked inside the block hold it with their parent.
    """
    make_data_dir(path)
    try:
        fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT, FILE_MODE)
    except OSError as error:
        raise _explained(path, error) from error
    try:
        _take(fd, path)
        yield
    finally:
        os.close(fd)


def _take(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StorageTrouble(
            f"{path} is in use by another pypi-sidecar{_holder(fd)}: stop it, or give this one its own --data-dir"
        ) from error
    except OSError as error:
        raise _explained(path, error) from error
    # For people alone: a full disk must not keep a server from starting.
    with suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)


def _holder(fd: int) -> str:
    """What to say of the process that holds the lock; nothing when it did not (or could not) write its pid."""
    pid = os.pread(fd, 32, 0).strip()
    return f" (pid {pid.decode()})" if pid.isdigit() else ""


def _explained(path: Path, error: OSError) -> StorageTrouble:
    """The path is named: this is read by the person who starts the server."""
    if error.errno in _NOT_A_DIRECTORY:
        return StorageTrouble(f"{path} is not a directory: move what is there away, or choose another --data-dir")
    if error.errno in _NOT_ALLOWED:
        return StorageTrouble(f"{path} cannot be written: make it this user's own, or choose another --data-dir")
    if error.errno in NO_SPACE:
        return StorageFull(f"no space left for {path}: free some, or choose another --data-dir")
    code = errno.errorcode.get(error.errno or 0, "no errno")
    return StorageTrouble(f"{path} cannot be used ({code}): choose another --data-dir, on a local disk")
