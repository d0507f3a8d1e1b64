"""Many callers, one task."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.services.coalesce import Coalescer
from tests.fakes.gate import Gate, settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Work:
    """Counts how often it is begun and ended; holds at its gate, then returns its number or fails."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.begun = 0
        self.ended = 0
        self.failure: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        try:
            await self.gate.pass_through()
        finally:
            self.ended += 1
        if self.failure:
            raise self.failure
        return number


@pytest.fixture
async def flights() -> AsyncIterator[Coalescer[str, int]]:
    coalescer: Coalescer[str, int] = Coalescer()
    yield coalescer
    await coalescer.close()


@pytest.fixture
def work() -> Work:
    return Work()


async def test_a_hundred_callers_share_one_task(flights: Coalescer[str, int], work: Work) -> None:
    callers = [asyncio.create_task(flights.run("a", work)) for _ in range(100)]
    await work.gate.waiting()
    work.gate.open()
    assert await asyncio.gather(*callers) == [1] * 100
    assert work.begun == 1


async def test_those_who_join_are_told_of_and_who_begins_is_not(work: Work) -> None:
    joined: list[str] = []
    flights: Coalescer[str, int] = Coalescer(lambda: joined.append("joined"))
    callers = [asyncio.create_task(flights.run("a", work)) for _ in range(3)]
    await work.gate.waiting()
    assert joined == ["joined"] * 2
    work.gate.open()
    await asyncio.gather(*callers)
    await flights.run("a", work)
    assert len(joined) == 2


async def test_keys_fly_apart(flights: Coalescer[str, int], work: Work) -> None:
    other = Work()
    callers = [asyncio.create_task(flights.run("a", work)), asyncio.create_task(flights.run("b", other))]
    await other.gate.waiting()
    assert flights.count == 2
    other.gate.open()
    assert await callers[1] == 1
    work.gate.open()
    assert await callers[0] == 1


async def test_what_has_landed_is_begun_anew(flights: Coalescer[str, int], work: Work) -> None:
    work.gate.open()
    assert [await flights.run("a", work), await flights.run("a", work)] == [1, 2]
    assert flights.count == 0


async def test_a_caller_that_leaves_takes_nothing_along(flights: Coalescer[str, int], work: Work) -> None:
    callers = [asyncio.create_task(flights.run("a", work)) for _ in range(3)]
    await work.gate.waiting()
    callers[0].cancel()
    await settle()
    assert callers[0].cancelled()
    work.gate.open()
    assert await asyncio.gather(*callers[1:]) == [1, 1]


async def test_the_last_caller_to_leave_does_not_end_the_flight(flights: Coalescer[str, int], work: Work) -> None:
    caller = asyncio.create_task(flights.run("a", work))
    await work.gate.waiting()
    caller.cancel()
    await settle()
    work.gate.open()
    assert await flights.run("a", work) == 1
    assert (work.begun, work.ended) == (1, 1)


async def test_a_failure_is_shared_and_then_forgotten(flights: Coalescer[str, int], work: Work) -> None:
    work.failure = OSError("down")
    callers = [asyncio.create_task(flights.run("a", work)) for _ in range(10)]
    await work.gate.waiting()
    work.gate.open()
    assert await asyncio.gather(*callers, return_exceptions=True) == [work.failure] * 10
    work.failure = None
    assert await flights.run("a", work) == 2


async def test_a_failure_that_nobody_waits_for_is_not_an_unhandled_one(
    flights: Coalescer[str, int], work: Work
) -> None:
    loop, complaints = asyncio.get_running_loop(), list[object]()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    work.failure = OSError("down")
    work.gate.open()
    flights.start("a", work)
    await settle()
    assert work.ended == 1
    assert flights.count == 0
    assert complaints == []


async def test_starting_waits_for_nothing(flights: Coalescer[str, int], work: Work) -> None:
    first = flights.start("a", work)
    assert flights.start("a", work) is first
    work.gate.open()
    assert await flights.run("a", work) == 1


async def test_closing_ends_all_flights_and_their_callers(flights: Coalescer[str, int], work: Work) -> None:
    caller = asyncio.create_task(flights.run("a", work))
    flights.start("b", work)
    await work.gate.waiting(2)
    await flights.close()
    assert (work.ended, flights.count) == (2, 0)
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_closing_waits_until_a_flight_has_tidied_up(flights: Coalescer[str, int]) -> None:
    tidy, begun = [], asyncio.Event()

    async def slow_to_end() -> int:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await settle()
            tidy.append(1)
        return 0

    flights.start("a", slow_to_end)
    await begun.wait()
    await flights.close()
    assert tidy == [1]
