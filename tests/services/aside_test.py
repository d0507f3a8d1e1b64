from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.services import aside
from proxy.services.aside import Aside
from tests.fakes.gate import Gate, settle, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FOR_EVER = 3600.0


class Works:
    """Work that says what was done, and waits at `gate` before."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.done: list[str] = []

    def of(self, name: str) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            await self.gate.pass_through()
            self.done.append(name)

        return work


@pytest.fixture
def works() -> Works:
    return Works()


async def test_nobody_waits_for_it(works: Works) -> None:
    jobs: Aside[str] = Aside(pause=0)
    await jobs.put("a", works.of("a"))
    await works.gate.waiting()
    assert works.done == []
    works.gate.open()
    await until(lambda: works.done == ["a"])


async def test_it_is_done_at_once_when_it_is_needed(works: Works) -> None:
    jobs: Aside[str] = Aside(FOR_EVER)
    works.gate.open()
    await jobs.put("a", works.of("a"))
    await jobs.put("b", works.of("b"))
    await settle()
    assert works.done == []
    await jobs.settle("b")
    assert works.done == ["b"]
    await jobs.settle("never put aside")
    await jobs.close()
    assert works.done == ["b", "a"]


async def test_of_one_key_it_is_done_in_order(works: Works) -> None:
    jobs: Aside[str] = Aside(FOR_EVER)
    await jobs.put("a", works.of("first"))
    second = asyncio.create_task(jobs.put("a", works.of("second")))
    await works.gate.waiting()
    await settle()
    assert not second.done()
    works.gate.open()
    await second
    await jobs.close()
    assert works.done == ["first", "second"]


async def test_a_bounded_number_is_put_aside(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "MAX_ASIDE", 2)
    jobs: Aside[str] = Aside(FOR_EVER)
    works.gate.open()
    for name in "abcd":
        await jobs.put(name, works.of(name))
    assert works.done == ["a", "b"]
    await jobs.close()


async def test_who_needed_it_may_leave(works: Works) -> None:
    jobs: Aside[str] = Aside(FOR_EVER)
    await jobs.put("a", works.of("a"))
    waiting = asyncio.create_task(jobs.settle("a"))
    await works.gate.waiting()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    works.gate.open()
    await jobs.close()
    assert works.done == ["a"]
