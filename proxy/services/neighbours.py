"""Other processes on the same data directory, that may fetch the same at the same time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from proxy.ports import Flights
    from proxy.services.absences import Absences

LOOK_AGAIN: Final = 0.002
"""Seconds between two looks at what a neighbour has fetched, or whether it has ended."""
LOOK_LATER: Final = 0.01
"""Seconds between them once there is something to go on with."""
ENOUGH: Final = 1.5
"""Seconds. Where a neighbour took longer and failed, who waited fails too: to try anew could take as long again."""
LONGEST: Final = 10.0
"""Seconds after which a page that a neighbour asks for is given up: that one is not well."""


class Alone:
    """Flights of a server of one process."""

    alone = True

    def claim(self, key: str) -> bool:  # noqa: ARG002
        return True

    def let_go(self, key: str) -> None:
        pass


class Neighbours(NamedTuple):
    """What goes between the processes of a server; None where there is but one."""

    flights: Flights
    absences: Absences | None = None


ALONE: Final = Neighbours(Alone())


async def wait_for_claim(flights: Flights, key: str) -> float | None:
    """Wait until nobody else fetches it, at most `LONGEST` seconds; how long it took, None where it is not claimed."""
    if flights.claim(key):
        return 0.0
    now = asyncio.get_running_loop().time
    began = now()
    while now() - began < LONGEST:
        await asyncio.sleep(LOOK_AGAIN)
        if flights.claim(key):
            return now() - began
    return None
