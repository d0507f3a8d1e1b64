"""What was measured: rows, and a value for each server and round."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Better(Enum):
    MORE = "more"
    LESS = "less"


class Goal(NamedTuple):
    """The product's value against `factor` times a peer's, or against `factor` itself where `peer` is empty."""

    factor: float
    peer: str = ""

    def describe(self, better: Better) -> str:
        sign = "≥" if better is Better.MORE else "≤"
        return f"{sign} {self.factor:g}" + (f" x {self.peer}" if self.peer else "")


@dataclass(frozen=True)
class Row:
    """One line of the table. `unit` is what its values count; `part` is what measures it."""

    key: str
    title: str
    unit: str
    part: str
    better: Better
    goals: Sequence[Goal] = ()


class Sample(NamedTuple):
    """One round's value."""

    row: str
    server: str
    value: float


class Gap(NamedTuple):
    """There is no value, and why."""

    row: str
    server: str
    why: str


@dataclass(frozen=True)
class Results:
    samples: Mapping[tuple[str, str], Sequence[float]]
    """Rounds by row and server."""
    gaps: Mapping[tuple[str, str], str]

    def value(self, row: str, server: str) -> float | None:
        """The median of the rounds."""
        rounds = self.samples.get((row, server))
        return statistics.median(rounds) if rounds else None

    def servers(self) -> list[str]:
        """In the order of their first appearance."""
        return list(dict.fromkeys(server for _, server in (*self.samples, *self.gaps)))

    def rows(self) -> set[str]:
        return {row for row, _ in (*self.samples, *self.gaps)}


def collect(found: Iterable[Sample | Gap]) -> Results:
    samples: dict[tuple[str, str], list[float]] = {}
    gaps: dict[tuple[str, str], str] = {}
    for each in found:
        match each:
            case Sample(row, server, value):
                samples.setdefault((row, server), []).append(value)
            case Gap(row, server, why):
                gaps.setdefault((row, server), why)
    return Results(samples, gaps)


def holds(goal: Goal, row: Row, results: Results, product: str) -> bool | None:
    """Whether the product reaches it; None where a value is missing."""
    value = results.value(row.key, product)
    peer = results.value(row.key, goal.peer) if goal.peer else 1.0
    if value is None or peer is None:
        return None
    bound = goal.factor * peer
    return value >= bound if row.better is Better.MORE else value <= bound
