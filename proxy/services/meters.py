"""Counting, by all the processes of a server, in memory that they share.

Each process has a region of its own and alone writes there, so adding to a cell takes no lock; whoever reads sums the
regions. A process that takes the place of one that died goes on in its region: no counter ever falls.
"""

from __future__ import annotations

from bisect import bisect_left
from mmap import PAGESIZE, mmap
from typing import TYPE_CHECKING

from proxy.core.cells import SECONDS, SUM, Kind
from proxy.core.metrics import LAYOUT, answer_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.core.cache_status import Source
    from proxy.core.metrics import AnswerCells, Route

_REGION = -(-LAYOUT.size * 8 // PAGESIZE) * PAGESIZE
"""Bytes, in whole pages: processes that count at the same time share no line of a processor's cache."""


class Board:
    """The cells of all processes, made before any of them is forked. `started_at` is in seconds since 1970."""

    def __init__(self, started_at: float, processes: int = 1) -> None:
        self.started_at = started_at
        self.processes = processes
        memory = memoryview(mmap(-1, _REGION * processes))
        self._regions = [memory[first : first + LAYOUT.size * 8].cast("d") for first in range(0, len(memory), _REGION)]

    def meters(self, process: int = 0) -> Meters:
        """What one process counts with; `process` counts from 0."""
        return Meters(self, self._regions[process])

    def read(self) -> Sequence[float]:
        """Every cell of the layout, summed over the processes."""
        return [sum(cells) for cells in zip(*self._regions, strict=True)]


class Meters:
    """Counts what one process does."""

    def __init__(self, board: Board, cells: memoryview[float]) -> None:
        self.board = board
        self._cells = cells
        self._answers: dict[tuple[Route, int, Source | None], AnswerCells] = {}
        for family in LAYOUT.families:
            if family.kind is Kind.GAUGE:  # nothing of the process that died here before is left
                cells[family.first] = 0.0

    def cells_of(self, route: Route, status: int, source: Source | None) -> AnswerCells:
        """Where answers of one kind are counted; who gives the same answer again and again may keep it."""
        key = (route, status, source)
        if (known := self._answers.get(key)) is None:
            known = self._answers[key] = answer_cells(*key)
        return known

    def answered(self, kind: AnswerCells, seconds: float, size: int) -> None:
        """An answer was given after so many `seconds`, with a body of `size` bytes."""
        requests, duration, sent = kind
        cells = self._cells
        cells[requests] += 1.0
        cells[duration + bisect_left(SECONDS, seconds)] += 1.0
        cells[duration + SUM] += seconds
        cells[sent] += size

    def add(self, cell: int, amount: float = 1.0) -> None:
        """Count up."""
        self._cells[cell] += amount

    def set(self, cell: int, value: float) -> None:
        """What a gauge shows now in this process."""
        self._cells[cell] = value

    def observe(self, row: int, seconds: float) -> None:
        """Count into a histogram's row."""
        self._cells[row + bisect_left(SECONDS, seconds)] += 1.0
        self._cells[row + SUM] += seconds
