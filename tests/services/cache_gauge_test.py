"""How much room the cache takes, asked for often and measured now and then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import StorageTrouble
from proxy.ports import CacheSize
from proxy.services import cache_gauge
from proxy.services.cache_gauge import CacheGauge
from tests.fakes.gate import Gate
from tests.fakes.metadata_store import MemoryMetadataStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Store(MemoryMetadataStore):
    """Holds at its gate, then tells how often it was measured, or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()
        self.gate.open()
        self.measured = 0
        self.trouble: StorageTrouble | None = None

    async def measure_cache(self) -> CacheSize:
        self.measured += 1
        await self.gate.pass_through()
        if self.trouble:
            raise self.trouble
        return CacheSize(self.measured, 0)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def gauge(store: Store) -> AsyncIterator[CacheGauge]:
    gauge = CacheGauge(store, patience=0.05)
    yield gauge
    await gauge.close()


async def test_all_who_ask_within_some_seconds_learn_of_one_measurement(gauge: CacheGauge, store: Store) -> None:
    sizes = await asyncio.gather(*(gauge.read() for _ in range(5)))
    assert [*sizes, await gauge.read()] == [CacheSize(1, 0)] * 6
    assert store.measured == 1


async def test_it_is_measured_again_when_its_time_has_come(gauge: CacheGauge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_gauge, "MEASURE_EVERY", 0.0)
    assert (await gauge.read(), await gauge.read()) == (CacheSize(1, 0), CacheSize(2, 0))


async def test_a_store_in_trouble_is_not_asked_again_at_once(gauge: CacheGauge, store: Store) -> None:
    store.trouble = StorageTrouble("broken")
    assert (await gauge.read(), await gauge.read()) == (None, None)
    assert store.measured == 1


async def test_a_store_that_hangs_is_not_waited_for(gauge: CacheGauge, store: Store) -> None:
    store.gate = Gate()
    assert (await gauge.read(), await gauge.read()) == (None, None)
    assert store.measured == 1
    store.gate.open()
    assert await gauge.read() == CacheSize(1, 0)
