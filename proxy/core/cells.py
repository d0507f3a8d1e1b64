"""Figures with places: every family of figures with all the label values that it can ever have.

A figure is one cell, or a row of them, in a flat array of floats; its place is known before anything is counted. So
counting is adding to a cell, no label can come from what a client sends, and several processes count into arrays that
need only be summed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECONDS: Final = (
    *(0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
"""Upper bounds of the buckets of every histogram: from a page out of memory to a large file on a slow line."""
SUM: Final = len(SECONDS) + 1
"""In the row of a histogram, after the buckets and one for what is above them all."""


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Family:
    """Figures of one name: a row of cells for each set of label values, from the cell `first` on.

    `sparse`: most label sets never occur, so those that nothing was counted under are not told.
    """

    kind: Kind
    name: str
    about: str
    labels: Mapping[str, Sequence[str]]
    first: int
    sparse: bool = False

    @property
    def row(self) -> int:
        """Cells of one row."""
        return SUM + 1 if self.kind is Kind.HISTOGRAM else 1

    @property
    def end(self) -> int:
        """The cell behind the last."""
        return self.first + self.row * prod(len(values) for values in self.labels.values())

    @cached_property
    def rows(self) -> Sequence[tuple[tuple[str, ...], int]]:
        """Every set of label values, in the order of the labels, and the first cell of its row."""
        sets = enumerate(product(*self.labels.values()))
        return [(values, self.first + place * self.row) for place, values in sets]

    def cell(self, *values: str) -> int:
        """The first cell of the row of these label values; raises KeyError for values that it has not."""
        return self._by_values[values]

    @cached_property
    def _by_values(self) -> Mapping[tuple[str, ...], int]:
        return dict(self.rows)


class Layout:
    """Families one behind the other."""

    def __init__(self) -> None:
        self.families: list[Family] = []

    @property
    def size(self) -> int:
        """Cells of all of them."""
        return self.families[-1].end if self.families else 0

    def counter(self, name: str, about: str, *, sparse: bool = False, **labels: Sequence[str]) -> Family:
        return self._add(Family(Kind.COUNTER, name, about, labels, self.size, sparse))

    def gauge(self, name: str, about: str) -> Family:
        return self._add(Family(Kind.GAUGE, name, about, {}, self.size))

    def histogram(self, name: str, about: str, *, sparse: bool = False, **labels: Sequence[str]) -> Family:
        return self._add(Family(Kind.HISTOGRAM, name, about, labels, self.size, sparse))

    def _add(self, family: Family) -> Family:
        self.families.append(family)
        return family
