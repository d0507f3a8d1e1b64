from __future__ import annotations

import threading
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Generic, TypeVar

from tests.fake_index.faults import Delivery, Fault, Gate, Plain, Rewrite

if TYPE_CHECKING:
    from tests.fake_index.exchange import Ask, Host

F = TypeVar("F", bound=Fault)


@dataclass
class _Rule(Generic[F]):
    """A fault, which requests meet it and how many more of them (None: any number)."""

    fault: F
    match: str
    method: str | None
    host: Host | None
    left: int | None

    def applies(self, ask: Ask) -> bool:
        return (
            self.left != 0
            and self.method in {None, ask.method}
            and self.host in {None, ask.host}
            and fnmatchcase(ask.path, self.match)
        )


class Rules:
    """The faults in force. Among those that fit a request the oldest that is not used up wins, of each sort one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rewrites: list[_Rule[Rewrite]] = []
        self._deliveries: list[_Rule[Delivery]] = []

    def add(self, fault: Fault, match: str, method: str | None, host: Host | None, times: int | None) -> None:
        with self._lock:
            if isinstance(fault, Rewrite):
                self._rewrites.append(_Rule(fault, match, method, host, times))
            if isinstance(fault, Delivery):
                self._deliveries.append(_Rule(fault, match, method, host, times))

    def clear(self, fault: Fault | None) -> None:
        """End this fault, or all of them; who hangs or waits at a gate gets the answer."""
        with self._lock:
            held = [rule.fault for rule in self._deliveries if fault is None or rule.fault is fault]
            self._rewrites = [rule for rule in self._rewrites if fault is not None and rule.fault is not fault]
            self._deliveries = [rule for rule in self._deliveries if fault is not None and rule.fault is not fault]
        for gate in held:
            if isinstance(gate, Gate):
                gate.open()

    def take(self, ask: Ask) -> tuple[Rewrite | None, Delivery]:
        """What this request meets; counts against `times`."""
        with self._lock:
            return _taken(self._rewrites, ask), _taken(self._deliveries, ask) or Plain()


def _taken(rules: list[_Rule[F]], ask: Ask) -> F | None:
    rule = next((rule for rule in rules if rule.applies(ask)), None)
    if rule is None:
        return None
    if rule.left is not None:
        rule.left -= 1
    return rule.fault
