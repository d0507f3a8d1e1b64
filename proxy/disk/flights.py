"""Claims between processes, as record locks of fcntl(2) on a file without a name, opened before they are forked.

Such a lock belongs to a process, costs a call of about a microsecond that waits for nothing, and goes with a kill. The
byte that stands for a key lies at an offset made of its hash: two keys that meet there wait for each other, no more.
A process that closes any descriptor of the file gives up all its locks, so nobody but this module has one.
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from contextlib import contextmanager
from hashlib import blake2b
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class SharedFlights:
    """Flights, over the descriptor `fd`, which each process has from its parent."""

    alone = False

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._claims: Counter[int] = Counter()  # a second one of this process would succeed, and drop the first's

    def claim(self, key: str) -> bool:
        place = _place_of(key)
        if not self._claims[place]:
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError:  # EAGAIN or EACCES; and who cannot know waits, as if it were so
                del self._claims[place]
                return False
        self._claims[place] += 1
        return True

    def let_go(self, key: str) -> None:
        place = _place_of(key)
        self._claims[place] -= 1
        if not self._claims[place]:
            del self._claims[place]
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, place)


@contextmanager
def open_flights() -> Iterator[SharedFlights]:
    """Claims for the processes that are forked inside the block."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("flights")
        try:
            yield SharedFlights(fd)
        finally:
            os.close(fd)
    else:
        with TemporaryFile() as file:
            yield SharedFlights(file.fileno())


def _place_of(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) >> 2  # an offset has 63 bits
