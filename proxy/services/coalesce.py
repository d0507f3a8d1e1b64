"""Many callers, one task: the first to ask for a key starts the flight, all who ask meanwhile share its end.

A flight belongs to nobody who waits for it: a caller that leaves takes nothing along, and what was fetched is kept.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class Coalescer(Generic[K, V]):
    """`on_joined` is told of each caller who found a flight under way."""

    def __init__(self, on_joined: Callable[[], None] = lambda: None) -> None:
        self._flights: dict[K, asyncio.Task[V]] = {}
        self._on_joined = on_joined

    async def run(self, key: K, work: Callable[[], Coroutine[None, None, V]]) -> V:
        """The result of the flight for `key`, started with `work` where there is none."""
        return await asyncio.shield(self.start(key, work))

    def start(self, key: K, work: Callable[[], Coroutine[None, None, V]]) -> asyncio.Task[V]:
        """The flight for `key`, without waiting for it."""
        if (flight := self._flights.get(key)) is not None:
            self._on_joined()
            return flight
        flight = self._flights[key] = asyncio.create_task(work())
        flight.add_done_callback(lambda task: self._land(key, task))
        return flight

    @property
    def count(self) -> int:
        """Flights under way."""
        return len(self._flights)

    async def close(self) -> None:
        """End all flights."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _land(self, key: K, flight: asyncio.Task[V]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # each waiter sees it; where none is left, it was seen here
