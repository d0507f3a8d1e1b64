"""Two houses on one data directory, as two workers are: what they have of each other is what processes have."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from proxy.core.freshness import CacheRules
from proxy.services.absences import Absences, make_absence_board
from proxy.services.neighbours import Neighbours
from tests.fakes.clock import FakeClock
from tests.fakes.flights import FakeFlights
from tests.fakes.metadata_store import MemoryMetadataStore
from tests.fakes.upstream import FakeUpstream

if TYPE_CHECKING:
    from tests.services.house import House, MakeHouse


class Street(NamedTuple):
    left: House
    right: House
    flights: tuple[FakeFlights, FakeFlights]

    @property
    def pypi(self) -> FakeUpstream:
        """The upstream of both."""
        return self.left.pypi

    @property
    def clock(self) -> FakeClock:
        return self.left.clock

    @property
    def houses(self) -> tuple[House, House]:
        return self.left, self.right

    @property
    def claims_tried(self) -> int:
        """By the right house: it tries again while the left one has what it wants."""
        return self.flights[1].asked

    @property
    def idle(self) -> bool:
        return self.left.idle and self.right.idle


async def open_street(make_house: MakeHouse, rules: CacheRules | None = None) -> Street:
    claims: dict[str, FakeFlights] = {}
    board, store, clock, pypi = make_absence_board(2), MemoryMetadataStore(), FakeClock(), FakeUpstream()
    flights = FakeFlights(claims), FakeFlights(claims)
    left, right = [
        await make_house(
            upstreams=[pypi],
            rules=rules or CacheRules(),
            store=store,
            clock=clock,
            neighbours=Neighbours(flights[number], Absences(board.notes(number))),
        )
        for number in range(2)
    ]
    return Street(left, right, flights)
