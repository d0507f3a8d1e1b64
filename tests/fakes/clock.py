"""A Clock that stands still until it is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)


class FakeClock:
    def __init__(self, now: datetime = START) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def advance(self, *, days: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        self.time += timedelta(days=days, minutes=minutes, seconds=seconds)
