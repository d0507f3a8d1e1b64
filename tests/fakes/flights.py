"""Claims of several processes that are all in this one: each has a FakeFlights over the same `claims`."""

from __future__ import annotations


class FakeFlights:
    """Fills `ports.Flights`. `claims` says who has what; `asked` counts the claims that were tried."""

    alone = False

    def __init__(self, claims: dict[str, FakeFlights]) -> None:
        self._claims = claims
        self.asked = 0

    def claim(self, key: str) -> bool:
        self.asked += 1
        return self._claims.setdefault(key, self) is self

    def let_go(self, key: str) -> None:
        assert self._claims.pop(key) is self
