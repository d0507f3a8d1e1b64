"""What was asked, and how it ended; for any thread."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

_MAX_TOLD: Final = 50
"""Wrong answers that are kept in words; all are counted."""


class Tally:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: Counter[str] = Counter()
        self._wrong: list[str] = []
        self._wrong_count = 0

    @property
    def requests(self) -> int:
        with self._lock:
            return self._ends.total() + self._wrong_count

    @property
    def ends(self) -> Counter[str]:
        """How requests ended that ended as they may: `page 200`, `file 503 in trouble`."""
        with self._lock:
            return Counter(self._ends)

    @property
    def wrong_count(self) -> int:
        return self._wrong_count

    @property
    def wrong(self) -> list[str]:
        """The first wrong answers, in words."""
        with self._lock:
            return list(self._wrong)

    def count(self, end: str) -> None:
        with self._lock:
            self._ends[end] += 1

    def blame(self, what: str) -> None:
        """Something was answered, or happened, that must not."""
        with self._lock:
            self._wrong_count += 1
            if len(self._wrong) < _MAX_TOLD:
                self._wrong.append(what)
