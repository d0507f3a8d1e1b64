from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import StorageTrouble
from proxy.services import batches
from proxy.services.download_times import DownloadTimes
from tests.contracts.samples import NOW, new_file
from tests.fakes.clock import START, FakeClock
from tests.fakes.metadata_store import MemoryMetadataStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class CountingStore(MemoryMetadataStore):
    def __init__(self) -> None:
        super().__init__()
        self.batches: list[dict[int, datetime]] = []
        self.written = asyncio.Event()

    async def record_downloads(self, downloads: Mapping[int, datetime]) -> None:
        self.batches.append(dict(downloads))
        self.written.set()
        await super().record_downloads(downloads)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_nothing_is_written_before_its_time_and_all_at_the_end(store: CountingStore, clock: FakeClock) -> None:
    file = await store.publish(new_file(), root=1, now=NOW)
    times = DownloadTimes(store, clock, write_every=3600)
    for _ in range(100):
        times.note(file.release_id)
        await asyncio.sleep(0)
    clock.advance(seconds=1)
    times.note(file.release_id)
    assert store.batches == []
    await times.close()
    assert store.batches == [{file.release_id: START + timedelta(seconds=1)}]
    assert store.releases[file.release_id].last_downloaded_at == START + timedelta(seconds=1)


async def test_a_batch_is_written_when_its_time_comes(store: CountingStore, clock: FakeClock) -> None:
    times = DownloadTimes(store, clock, write_every=0.01)
    for release in (1, 2, 3):
        times.note(release)
    await asyncio.wait_for(store.written.wait(), 20)
    assert store.batches == [dict.fromkeys((1, 2, 3), START)]
    store.written.clear()
    times.note(4)
    await asyncio.wait_for(store.written.wait(), 20)
    assert store.batches[1:] == [{4: START}]
    await times.close()
    assert len(store.batches) == 2


async def test_what_comes_during_a_write_is_in_the_next(store: CountingStore, clock: FakeClock) -> None:
    times = DownloadTimes(store, clock, write_every=0.01)
    times.note(1)
    await asyncio.wait_for(store.written.wait(), 20)
    times.note(2)  # the store has not answered yet
    await times.close()
    assert store.batches == [{1: START}, {2: START}]


async def test_a_full_batch_takes_no_further_release(
    store: CountingStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_PENDING", 2)
    times = DownloadTimes(store, clock, write_every=3600)
    for release in (1, 2, 3):
        times.note(release)
    clock.advance(seconds=1)
    times.note(1)
    await times.close()
    assert store.batches == [{1: START + timedelta(seconds=1), 2: START}]


async def test_trouble_is_logged_and_passes(
    store: CountingStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    times = DownloadTimes(store, clock, write_every=0.01)
    store.trouble = StorageTrouble("the disk is gone")
    times.note(1)
    await asyncio.wait_for(store.written.wait(), 20)
    await times.close()
    assert "cannot note when releases were downloaded (1): the disk is gone" in caplog.text


async def test_closing_without_downloads_is_harmless(store: CountingStore, clock: FakeClock) -> None:
    await DownloadTimes(store, clock).close()
    assert store.batches == []
