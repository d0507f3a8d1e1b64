from __future__ import annotations

import asyncio

import pytest

from proxy.core.errors import StorageTrouble
from proxy.core.policy import LocalFacts
from proxy.services import local_memory
from proxy.services.local_memory import MAX_AGE, LocalMemory
from tests.contracts.samples import DEMO, NOW, new_file
from tests.fakes.gate import Gate, settle
from tests.fakes.metadata_store import MemoryMetadataStore


class CountingStore(MemoryMetadataStore):
    """Counts what it is asked; each question waits at `gate` where there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.gate: Gate | None = None

    async def _turn(self) -> None:
        self.asked += 1
        if self.gate:
            await self.gate.pass_through()
        await super()._turn()


class Timer:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class TestMemory:
    @pytest.fixture(autouse=True)
    def _memory(self) -> None:
        self.store, self.timer = CountingStore(), Timer()
        self.memory = LocalMemory(self.store, self.timer)

    async def ask_all(self) -> list[object]:
        return [
            await self.memory.find_facts(1, [1], DEMO),
            list(await self.memory.list_files([1], DEMO)),
            list(await self.memory.list_names([1])),
            await self.memory.find_status([1], DEMO),
        ]

    async def test_what_was_asked_is_not_asked_again(self) -> None:
        first = await self.ask_all()
        assert self.store.asked == 4
        assert await self.ask_all() == first
        assert self.store.asked == 4

    async def test_other_projects_and_names_are_other_questions(self) -> None:
        await self.store.publish(new_file(), root=1, now=NOW)
        assert await self.memory.find_facts(1, [1], DEMO) == LocalFacts(claimed=True, holders=frozenset({1}))
        assert await self.memory.find_facts(1, [], DEMO) == LocalFacts(claimed=True)
        assert await self.memory.find_facts(2, [], DEMO) == LocalFacts()

    async def test_a_publication_is_seen_at_once(self) -> None:
        await self.ask_all()
        await self.store.publish(new_file(), root=1, now=NOW)
        facts, files, names, _ = await self.ask_all()
        assert facts == LocalFacts(claimed=True, holders=frozenset({1}))
        assert (len(files) if isinstance(files, list) else 0, names) == (1, [DEMO])

    async def test_it_asks_again_after_a_while_all_the_same(self) -> None:
        await self.memory.find_facts(1, [1], DEMO)
        self.timer.seconds += MAX_AGE - 0.01
        await self.memory.find_facts(1, [1], DEMO)
        assert self.store.asked == 1
        self.timer.seconds += 0.02
        await self.memory.find_facts(1, [1], DEMO)
        assert self.store.asked == 2

    async def test_who_asks_meanwhile_shares_the_answer(self) -> None:
        self.store.gate = Gate()
        asking = [asyncio.create_task(self.memory.find_facts(1, [1], DEMO)) for _ in range(10)]
        await self.store.gate.waiting()
        self.store.gate.open()
        await asyncio.gather(*asking)
        assert self.store.asked == 1

    async def test_who_asks_after_a_publication_gets_no_answer_from_before(self) -> None:
        """The first question has read its rows, and has not come back yet."""
        self.store.gate = Gate()
        before = asyncio.create_task(self.memory.find_facts(1, [1], DEMO))
        await self.store.gate.waiting()
        gate, self.store.gate = self.store.gate, None
        await self.store.publish(new_file(), root=1, now=NOW)
        after = await self.memory.find_facts(1, [1], DEMO)
        assert after.claimed
        gate.open()
        await before
        await settle()
        assert (await self.memory.find_facts(1, [1], DEMO)).claimed

    async def test_trouble_is_not_remembered(self) -> None:
        self.store.trouble = StorageTrouble("the disk is gone")
        with pytest.raises(StorageTrouble):
            await self.memory.find_facts(1, [1], DEMO)
        self.store.trouble = None
        assert await self.memory.find_facts(1, [1], DEMO) == LocalFacts()

    async def test_it_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(local_memory, "MAX_SIZE", 20)
        memory = LocalMemory(self.store, self.timer)
        for version in range(3):
            await self.store.publish(new_file(version=str(version)), root=1, now=NOW)
        self.store.asked = 0
        for _ in range(2):
            assert len(await memory.list_files([1], DEMO)) == 3  # counts as thirty
        assert self.store.asked == 2
