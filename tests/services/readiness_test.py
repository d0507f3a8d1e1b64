from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import StorageFull
from proxy.services.readiness import Readiness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Part:
    """A part that waits where it is told to, and fails where it has a `trouble`."""

    def __init__(self, trouble: str = "", gate: asyncio.Event | None = None) -> None:
        self.trouble = trouble
        self.gate = gate
        self.tries = 0

    async def probe(self) -> None:
        self.tries += 1
        if self.gate:
            await self.gate.wait()
        if self.trouble:
            raise StorageFull(self.trouble)


@pytest.fixture
async def make_readiness() -> AsyncIterator[Callable[..., Readiness]]:
    made: list[Readiness] = []

    def make(patience: float = 5.0, **parts: Part) -> Readiness:
        made.append(Readiness(parts, patience))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def test_only_parts_that_failed_are_told(make_readiness: Callable[..., Readiness]) -> None:
    blobs = Part("no space left")
    readiness = make_readiness(database=Part(), blobs=blobs)
    assert await readiness.find_failures() == {"blobs": "no space left"}
    blobs.trouble = ""
    assert await readiness.find_failures() == {}


async def test_those_who_ask_at_once_share_one_try_and_the_next_gets_another(
    make_readiness: Callable[..., Readiness],
) -> None:
    gate = asyncio.Event()
    part = Part("no space left", gate)
    readiness = make_readiness(blobs=part)
    asked = [asyncio.create_task(readiness.find_failures()) for _ in range(50)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*asked) == [{"blobs": "no space left"}] * 50
    assert part.tries == 1
    await readiness.find_failures()
    assert part.tries == 2


async def test_a_part_that_hangs_has_failed_and_is_not_asked_again_meanwhile(
    make_readiness: Callable[..., Readiness],
) -> None:
    hanging = Part(gate=asyncio.Event())
    readiness = make_readiness(patience=0.01, database=Part("locked"), blobs=hanging)
    for _ in range(3):
        failures = await readiness.find_failures()
        assert failures["database"] == "locked"
        assert failures["blobs"].startswith("does not answer")
    assert hanging.tries == 1


async def test_who_stops_asking_takes_nothing_along(make_readiness: Callable[..., Readiness]) -> None:
    gate = asyncio.Event()
    readiness = make_readiness(blobs=Part(gate=gate))
    leaving, staying = (asyncio.create_task(readiness.find_failures()) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    gate.set()
    assert await staying == {}
