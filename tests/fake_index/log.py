from __future__ import annotations

import threading
from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from tests.fake_index.signals import Bulletin

if TYPE_CHECKING:
    from tests.fake_index.exchange import Ask


class RequestLog:
    """What was asked and how much of it was sent; readable from any thread."""

    def __init__(self) -> None:
        self.changes = Bulletin()
        self._lock = threading.Lock()
        self._connections = 0
        self._asked: list[Ask] = []
        self._sent: Counter[str] = Counter()
        self._abandoned: Counter[str] = Counter()

    @property
    def connections(self) -> int:
        return self._connections

    @property
    def asked(self) -> list[Ask]:
        """A copy, oldest first."""
        with self._lock:
            return list(self._asked)

    def count(self, method: str | None, match: str) -> int:
        return sum(method in {None, ask.method} and fnmatchcase(ask.path, match) for ask in self.asked)

    def bytes_sent(self, match: str) -> int:
        return self._total(self._sent, match)

    def abandoned(self, match: str) -> int:
        return self._total(self._abandoned, match)

    def record_connection(self) -> None:
        with self._lock:
            self._connections += 1
        self.changes.post()

    def record(self, ask: Ask) -> None:
        with self._lock:
            self._asked.append(ask)
        self.changes.post()

    def record_sent(self, path: str, size: int) -> None:
        with self._lock:
            self._sent[path] += size
        self.changes.post()

    def record_abandoned(self, path: str) -> None:
        with self._lock:
            self._abandoned[path] += 1
        self.changes.post()

    def clear(self) -> None:
        """Forget what was asked and sent; connections stay counted."""
        with self._lock:
            self._asked.clear()
            self._sent.clear()
            self._abandoned.clear()

    def _total(self, counter: Counter[str], match: str) -> int:
        with self._lock:
            return sum(amount for path, amount in counter.items() if fnmatchcase(path, match))
