"""Who holds what, told by flock(2): between processes, between parts of one process, and given back by a kill.

    a part's own file       shared, while the part is open: it is no leftover
    blobs/ab                shared, from a commit there until the part lets go or is closed: rows that name its blobs
                            may be on their way; exclusive, while a blob is removed from it
    blobs                   shared, while a blob is removed; exclusive, while somebody holds all blobs still

A removal never waits: what is held now is removed another time. A commit waits for a removal, which is short.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from proxy.disk.files import create_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path


class Held(Exception):
    """Somebody else has it."""


def create_part(path: Path) -> FileIO:
    """A new file that no sweep takes while it is open."""
    while True:
        file = create_file(path)
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH)
            if os.fstat(file.fileno()).st_nlink:
                return file
        except OSError:
            file.close()
            raise
        file.close()  # a sweep came between the two calls: once more


def hold_directory(path: Path) -> int:
    """A descriptor of the directory; until it is closed, nothing is removed from it."""
    return _locked(path, fcntl.LOCK_SH)


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """For the block, nobody else holds the file or directory; raises Held at once where somebody does."""
    fd = _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield
    finally:
        os.close(fd)


@contextmanager
def removing_from(directory: Path) -> Iterator[None]:
    """For the block, blobs may be removed from their directory; raises Held."""
    with ExitStack() as stack:
        stack.callback(os.close, _locked(directory.parent, fcntl.LOCK_SH | fcntl.LOCK_NB))
        stack.enter_context(alone_with(directory))
        yield


def is_held(path: Path) -> bool:
    try:
        with alone_with(path):
            return False
    except Held:
        return True


def _locked(path: Path, how: int) -> int:
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, how)
    except BlockingIOError as error:
        os.close(fd)
        raise Held from error
    except OSError:
        os.close(fd)
        raise
    return fd
