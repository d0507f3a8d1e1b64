from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from proxy.disk import open_flights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.disk.flights import SharedFlights

CHILD = """
import sys
from proxy.disk.flights import SharedFlights
flights = SharedFlights(int(sys.argv[1]))
for line in sys.stdin:
    verb, key = line.split()
    print(getattr(flights, verb)(key), flush=True)
"""


class Neighbour:
    """Another process that has the descriptor, as if it had been forked."""

    def __init__(self, flights: SharedFlights) -> None:
        fd = flights._fd
        self._child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(fd)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[fd],
        )

    def claim(self, key: str) -> bool:
        return self._do("claim", key) == "True"

    def let_go(self, key: str) -> None:
        self._do("let_go", key)

    def kill(self) -> None:
        with self._child:
            self._child.kill()

    def _do(self, verb: str, key: str) -> str:
        assert self._child.stdin
        assert self._child.stdout
        print(verb, key, file=self._child.stdin, flush=True)
        return self._child.stdout.readline().strip()


@contextmanager
def neighbours() -> Iterator[tuple[SharedFlights, Neighbour]]:
    with open_flights() as flights:
        neighbour = Neighbour(flights)
        try:
            yield flights, neighbour
        finally:
            neighbour.kill()


def test_one_process_has_a_claim_until_it_lets_go() -> None:
    with neighbours() as (flights, neighbour):
        assert flights.claim("a")
        assert not neighbour.claim("a")
        assert neighbour.claim("b")
        assert not flights.claim("b")
        flights.let_go("a")
        assert neighbour.claim("a")
        assert not flights.claim("a")


def test_a_kill_gives_all_claims_back() -> None:
    with neighbours() as (flights, neighbour):
        assert neighbour.claim("a")
        assert not flights.claim("a")
        neighbour.kill()
        assert flights.claim("a")


def test_what_a_process_claims_again_it_lets_go_of_as_often() -> None:
    with neighbours() as (flights, neighbour):
        assert flights.claim("a")
        assert flights.claim("a")
        flights.let_go("a")
        assert not neighbour.claim("a")
        flights.let_go("a")
        assert neighbour.claim("a")


def test_thousands_are_told_apart() -> None:
    with neighbours() as (flights, neighbour):
        assert all(flights.claim(str(number)) for number in range(2_000))
        assert neighbour.claim("another")
        assert not any(neighbour.claim(str(number)) for number in range(0, 2_000, 97))
