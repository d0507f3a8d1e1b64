"""Where a process dies: before or after the Nth step of a name, as in `before store.publish:1`."""

from __future__ import annotations

import re
from collections import defaultdict
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MANY = 6
"""A step that one run takes more often (256 directories at a start) is not died at each time; a statement is."""
_READING = re.compile(r"\w+\.(?:find|list|read|count|measure|is|ever)_?")


class Moment(StrEnum):
    BEFORE = "before"
    AFTER = "after"


class Point(NamedTuple):
    """`number` counts the steps of this name in the process, from 1."""

    moment: Moment
    step: str
    number: int

    def __str__(self) -> str:
        return f"{self.moment} {self.step}:{self.number}"


def parse_point(text: str) -> Point:
    """The inverse of `str(point)`; raises ValueError."""
    moment, _, named = text.partition(" ")
    step, _, number = named.rpartition(":")
    return Point(Moment(moment), step, int(number))


def thinned(points: Iterable[Point]) -> Iterator[Point]:
    """All points of statements and of what happens up to MANY times; of the rest the first, a middle and the last.

    After a step that only reads, all is as before it: such points are left out.
    """
    groups: dict[tuple[Moment, str], list[Point]] = defaultdict(list)
    for point in points:
        if point.moment is Moment.BEFORE or not _READING.match(point.step):
            groups[point.moment, point.step].append(point)
    for group in groups.values():
        every = len(group) <= MANY or group[0].step.startswith("sql.")
        yield from group if every else _few_of(group)


def _few_of(group: Sequence[Point]) -> Sequence[Point]:
    middle = len(group) // 2
    return [*group[:2], group[middle], *group[-2:]]
