"""Numbers noted by key, by all the processes of a server, in memory that they share.

Each process has a region of its own and alone writes there, so that noting takes no lock; whoever reads looks into all
of them. Keys are kept as hashes under a secret of the server's, which nobody outside can make meet. A process that
takes the place of one that died finds what that had noted.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from hashlib import blake2b
from mmap import PAGESIZE, mmap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_CELL: Final = 8
"""Bytes of a number, and of a hash."""
_FREE: Final = bytes(_CELL)


class NoteBoard:
    """Rows of `width` numbers, at most so many in each process; made before any of them is forked."""

    def __init__(self, rows: int, width: int, processes: int = 1) -> None:
        self.rows = rows
        self.width = width
        self._secret = secrets.token_bytes(16)
        self._region = -(-rows * (1 + width) * _CELL // PAGESIZE) * PAGESIZE
        self._memory = mmap(-1, self._region * processes)
        self._starts = range(0, self._region * processes, self._region)

    def notes(self, process: int = 0) -> Notes:
        """What one process notes with; `process` counts from 0."""
        return Notes(self, self._starts[process])

    def hash_of(self, key: str) -> bytes:
        return blake2b(key.encode(), digest_size=_CELL, key=self._secret).digest()

    def find(self, hashed: bytes) -> Iterator[memoryview[float]]:
        """The row of each process that has noted something by this key."""
        for start in self._starts:
            end = start + self.rows * _CELL
            at = self._memory.find(hashed, start, end)
            while at >= 0 and (at - start) % _CELL:  # a match across two hashes is none
                at = self._memory.find(hashed, at + 1, end)
            if at >= 0:
                yield self.row(start, (at - start) // _CELL)

    def name(self, start: int, number: int, hashed: bytes) -> None:
        """Give a row of the region at `start` to a key."""
        at = start + number * _CELL
        self._memory[at : at + _CELL] = hashed

    def names(self, start: int) -> list[bytes]:
        """The keys of the rows that were given away, in their order."""
        hashes = [self._memory[at : at + _CELL] for at in range(start, start + self.rows * _CELL, _CELL)]
        return [hashed for hashed in hashes if hashed != _FREE]

    def row(self, start: int, number: int) -> memoryview[float]:
        first = start + (self.rows + number * self.width) * _CELL
        return memoryview(self._memory)[first : first + self.width * _CELL].cast("d")


class Notes:
    """One process's rows, of which the one used longest ago makes room for a new one."""

    def __init__(self, board: NoteBoard, start: int) -> None:
        self._board = board
        self._start = start
        self._numbers = OrderedDict((hashed, number) for number, hashed in enumerate(board.names(start)))

    def __len__(self) -> int:
        return len(self._numbers)

    def own(self, key: str) -> memoryview[float]:
        """The row of this process for a key, to write to; all zero where it is new."""
        hashed = self._board.hash_of(key)
        number = self._numbers.get(hashed)
        if number is not None:
            self._numbers.move_to_end(hashed)
            return self._board.row(self._start, number)
        return self._begin(hashed)

    def all(self, key: str) -> list[memoryview[float]]:
        """What all processes have noted by a key, a row each."""
        return list(self._board.find(self._board.hash_of(key)))

    def _begin(self, hashed: bytes) -> memoryview[float]:
        full = len(self._numbers) == self._board.rows
        number = self._numbers.popitem(last=False)[1] if full else len(self._numbers)
        row = self._board.row(self._start, number)
        self._board.name(self._start, number, _FREE)
        for cell in range(self._board.width):
            row[cell] = 0.0
        self._board.name(self._start, number, hashed)
        self._numbers[hashed] = number
        return row
