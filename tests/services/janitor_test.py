"""Room for the cache, over a real directory and rows in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from proxy.core.digests import sha256_of
from proxy.core.errors import StorageFull, StorageTrouble
from proxy.disk import open_blob_store
from proxy.services import janitor as janitor_module
from proxy.services.cache_uses import CacheUses
from proxy.services.janitor import Duties, Freed, Janitor
from tests.contracts.samples import new_file, page_entry
from tests.fakes.clock import FakeClock
from tests.fakes.gate import settle, until
from tests.fakes.metadata_store import MemoryMetadataStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Coroutine, Sequence
    from pathlib import Path

    from proxy.core.digests import Sha256
    from proxy.ports import Blob, BlobStore, CachedBlob, CacheSize, PublishedBlob

SIZE = 1000
CONTENT = "p" * SIZE
DAY = timedelta(days=1)


class WatchedStore(MemoryMetadataStore):
    """Does what `between` says when it has listed what may go or what may not, before the janitor removes anything."""

    def __init__(self) -> None:
        super().__init__()
        self.between: list[Coroutine[None, None, None]] = []
        self.lists = 0
        self.measured = 0

    async def list_least_used(self, limit: int) -> Sequence[CachedBlob]:
        found = await super().list_least_used(limit)
        self.lists += 1
        await self._let_others()
        return found

    async def list_published(self, prefix: str) -> Sequence[PublishedBlob]:
        found = await super().list_published(prefix)
        await self._let_others()
        return found

    async def measure_cache(self) -> CacheSize:
        self.measured += 1
        return await super().measure_cache()

    async def _let_others(self) -> None:
        while self.between:
            await self.between.pop()


ALL = Duties()


class Place:
    """A cache of ten files of SIZE bytes at most, and what is needed to fill it."""

    def __init__(self, blobs: BlobStore) -> None:
        self.clock = FakeClock(datetime.now(UTC) + DAY)  # whatever was just written is a day old
        self.store = WatchedStore()
        self.blobs = blobs
        self.uses = CacheUses(self.store, self.clock, write_every=3600)
        self.told: list[Freed] = []
        self.janitor = self.another()

    def another(self, max_size: int = 10 * SIZE, duties: Duties = ALL) -> Janitor:
        """A janitor that has just started."""
        return Janitor(self.blobs, self.store, self.uses, self.clock, max_size, self.told.append, duties)

    @property
    def told_in_all(self) -> Freed:
        return sum(self.told, Freed())

    async def keep(self, data: bytes) -> Blob:
        part = await self.blobs.writer()
        await part.write(data)
        blob = await part.commit()
        await part.close()
        return blob

    async def cache(self, number: int, size: int = SIZE) -> Sha256:
        """A cached file of so many bytes, a minute after the one before."""
        blob = await self.keep(number.to_bytes(size, "big"))
        self.clock.advance(minutes=1)
        await self.store.record_cached(blob.sha256, blob.size, self.clock.now())
        return blob.sha256

    async def publish(self, content: str) -> None:
        """As the publisher does: the row is in before the part is closed."""
        part = await self.blobs.writer()
        await part.write(content.encode())
        await part.commit()
        await self.store.publish(new_file(content=content), root=1, now=self.clock.now())
        await part.close()

    async def send(self, sha256: Sha256) -> None:
        with self.uses.serving(await self.blob(sha256)):
            pass

    async def blob(self, sha256: Sha256) -> Blob:
        blob = await self.blobs.find(sha256)
        assert blob is not None
        return blob

    async def there(self, digests: Sequence[Sha256]) -> list[bool]:
        return [await self.blobs.find(sha256) is not None for sha256 in digests]


@pytest.fixture
async def place(data_dir: Path) -> AsyncIterator[Place]:
    async with open_blob_store(data_dir) as blobs:
        opened = Place(blobs)
        yield opened
        await opened.janitor.close()
        await opened.uses.close()


class TestEviction:
    async def test_nothing_goes_while_there_is_room(self, place: Place) -> None:
        kept = [await place.cache(number) for number in range(10)]
        assert await place.janitor.evict() == Freed()
        assert all(await place.there(kept))

    async def test_what_was_used_longest_ago_goes_until_the_rest_fits(self, place: Place) -> None:
        kept = [await place.cache(number) for number in range(12)]
        await place.send(kept[0])
        assert await place.janitor.evict() == Freed(evicted_files=2, evicted_bytes=2 * SIZE)
        assert await place.there(kept) == [True, False, False] + [True] * 9
        assert (await place.store.measure_cache()).blobs == 10 * SIZE

    async def test_some_room_ahead_is_made_once_the_cache_is_full(self, place: Place) -> None:
        kept = [await place.cache(number) for number in range(11)]
        assert (await place.janitor.evict(ahead=2 * SIZE)).evicted_files == 3
        assert (await place.janitor.evict(ahead=2 * SIZE)) == Freed()
        assert await place.there(kept) == [False] * 3 + [True] * 8

    async def test_of_several_that_look_after_one_cache_each_may_fill_its_share(self, place: Place) -> None:
        janitors = [place.another(duties=Duties(workers=2, sweeps=number == 0)) for number in range(2)]
        for number in range(4):
            await place.cache(number)
        for janitor in janitors:
            await janitor.evict()
        room = 6 * SIZE - (await place.store.measure_cache()).pages
        assert [janitor._room for janitor in janitors] == [room // 2, room // 2]
        for number in range(4, 14):
            await place.cache(number)
        assert (await janitors[1].evict()).evicted_files == 4

    async def test_many_files_go_a_batch_at_a_time(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(janitor_module, "BATCH", 3)
        for number in range(20):
            await place.cache(number)
        assert (await place.janitor.evict()).evicted_files == 10
        assert place.store.lists == 4

    async def test_what_is_published_stays(self, place: Place) -> None:
        await place.publish(CONTENT)
        await place.store.record_cached(sha256_of(CONTENT.encode()), SIZE, place.clock.now())
        kept = [await place.cache(number) for number in range(3)]
        assert (await place.another(max_size=0).evict()).evicted_files == 3
        assert await place.there([sha256_of(CONTENT.encode()), *kept]) == [True, False, False, False]

    async def test_what_is_being_sent_stays(self, place: Place) -> None:
        kept = [await place.cache(number) for number in range(12)]
        blob = await place.blob(kept[11])
        with place.uses.serving(blob):
            with place.uses.serving(blob):
                pass
            await place.another(max_size=0).evict()
            assert await place.there(kept) == [False] * 11 + [True]
        await place.another(max_size=0).evict()
        assert await place.there(kept) == [False] * 12

    async def test_a_file_that_is_published_meanwhile_stays(self, place: Place) -> None:
        """An upload of the same bytes, from its first byte to its row, between looking and removing."""
        blob = await place.keep(CONTENT.encode())
        await place.store.record_cached(blob.sha256, SIZE, place.clock.now())
        place.clock.time = datetime.now(UTC)
        place.store.between.append(place.publish(CONTENT))
        assert await place.another(max_size=0).evict() == Freed()
        assert await place.there([blob.sha256]) == [True]

    async def test_a_file_that_is_about_to_be_published_stays(self, place: Place) -> None:
        """Committed before the look; its row, and the end of its part, come between looking and removing."""
        part = await place.blobs.writer()
        await part.write(CONTENT.encode())
        blob = await part.commit()
        await place.store.record_cached(blob.sha256, SIZE, place.clock.now())

        async def end() -> None:
            await place.store.publish(new_file(content=CONTENT), root=1, now=place.clock.now())
            await part.close()

        place.store.between.append(end())
        assert await place.another(max_size=0).evict() == Freed()
        assert await place.there([blob.sha256]) == [True]

    async def test_nothing_goes_while_the_store_is_held_still(self, place: Place) -> None:
        kept = [await place.cache(number) for number in range(12)]
        async with place.blobs.held_still():
            assert await place.janitor.evict() == Freed()
        assert all(await place.there(kept))
        assert (await place.janitor.evict()).evicted_files == 2

    async def test_a_row_whose_file_was_removed_by_hand_takes_no_room(self, place: Place) -> None:
        kept = [await place.cache(number) for number in range(12)]
        for sha256 in kept[:5]:
            (await place.blob(sha256)).path.unlink()
        assert await place.janitor.evict() == Freed(forgotten_rows=2)
        assert all(await place.there(kept[5:]))
        assert await place.janitor.sweep() == Freed(forgotten_rows=3)
        assert (await place.store.measure_cache()).blobs == 7 * SIZE


class TestPages:
    async def test_they_get_half_of_the_room_at_most(self, place: Place) -> None:
        for number in range(5):
            await place.store.save_page(page_entry(f"demo{number}", files=5))
        before = (await place.store.measure_cache()).pages
        freed = await place.another(max_size=before).evict()
        left = (await place.store.measure_cache()).pages
        assert 0 < left <= before // 2
        assert freed == Freed(page_bytes=before - left)

    async def test_files_get_what_pages_leave(self, place: Place) -> None:
        kept = [await place.cache(number) for number in range(10)]
        await place.store.save_page(page_entry())
        assert (await place.janitor.evict()).evicted_files == 1
        assert await place.there(kept) == [False] + [True] * 9

    async def test_files_make_room_where_a_full_disk_keeps_pages_from_going(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def full(_: int) -> int:
            raise StorageFull("no space left")

        monkeypatch.setattr(place.store, "delete_oldest_pages", full)
        for number in range(12):
            await place.cache(number)
        assert (await place.janitor.evict()).evicted_files == 2
        assert "cached pages cannot be deleted yet: no space left" in caplog.text


class TestSweep:
    async def test_a_blob_that_nobody_names_goes_when_it_is_old(self, place: Place) -> None:
        orphan = await place.keep(b"o" * SIZE)
        place.clock.time = datetime.now(UTC)
        assert await place.janitor.sweep() == Freed()
        place.clock.advance(minutes=61)
        assert await place.janitor.sweep() == Freed(leftover_files=1, leftover_bytes=SIZE)
        assert await place.there([orphan.sha256]) == [False]

    async def test_what_is_cached_or_published_stays_however_old(self, place: Place) -> None:
        cached = await place.cache(1)
        published, metadata = await place.keep(CONTENT.encode()), await place.keep(b"metadata")
        upload = new_file(content=CONTENT, core_metadata=metadata.sha256)
        await place.store.publish(upload, root=1, now=place.clock.now())
        assert await place.janitor.sweep(blob_age=timedelta(0)) == Freed()
        assert all(await place.there([cached, published.sha256, metadata.sha256]))

    async def test_the_blob_of_a_deleted_file_goes(self, place: Place) -> None:
        await place.publish(CONTENT)
        await place.store.delete_files([file.id for file in place.store.files], root=1)
        assert (await place.janitor.sweep()).leftover_files == 1

    async def test_a_blob_whose_use_is_not_written_yet_is_counted_again(self, place: Place) -> None:
        orphan = await place.keep(b"o" * SIZE)
        await place.send(orphan.sha256)
        assert await place.janitor.sweep() == Freed()
        assert (await place.store.measure_cache()).blobs == SIZE

    async def test_a_file_that_is_published_meanwhile_stays(self, place: Place) -> None:
        blob = await place.keep(CONTENT.encode())
        place.clock.time = datetime.now(UTC)
        place.store.between.append(place.publish(CONTENT))
        assert await place.janitor.sweep(blob_age=timedelta(0)) == Freed()
        assert await place.there([blob.sha256]) == [True]

    async def test_a_file_that_is_about_to_be_published_stays(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Committed before the look; its row, and the end of its part, come between looking and removing."""
        part = await place.blobs.writer()
        await part.write(CONTENT.encode())
        blob = await part.commit()
        listed = place.store.list_published

        async def list_and_let_it_end(prefix: str) -> Sequence[PublishedBlob]:
            found = await listed(prefix)
            if prefix == blob.sha256[:2]:
                await place.store.publish(new_file(content=CONTENT), root=1, now=place.clock.now())
                await part.close()
            return found

        monkeypatch.setattr(place.store, "list_published", list_and_let_it_end)
        assert await place.janitor.sweep(blob_age=timedelta(0)) == Freed()
        assert await place.there([blob.sha256]) == [True]

    async def test_a_file_whose_row_is_on_its_way_stays(self, place: Place) -> None:
        part = await place.blobs.writer()
        await part.write(b"bytes")
        blob = await part.commit()
        assert await place.janitor.sweep(blob_age=timedelta(0)) == Freed()
        await part.close()
        assert await place.there([blob.sha256]) == [True]
        assert (await place.janitor.sweep(blob_age=timedelta(0))).leftover_files == 1

    async def test_nothing_goes_while_the_store_is_held_still(self, place: Place) -> None:
        orphan = await place.keep(b"o" * SIZE)
        async with place.blobs.held_still():
            assert await place.janitor.sweep() == Freed()
        assert await place.there([orphan.sha256]) == [True]

    async def test_a_full_disk_keeps_rows_whose_file_is_gone_for_another_time(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def full(_: Collection[Sha256]) -> None:
            raise StorageFull("no space left")

        orphan, gone = await place.keep(b"o" * SIZE), await place.cache(1)
        (await place.blob(gone)).path.unlink()
        with monkeypatch.context() as patch:
            patch.setattr(place.store, "forget_cached", full)
            assert await place.janitor.sweep() == Freed(leftover_files=1, leftover_bytes=SIZE)
        assert await place.there([orphan.sha256]) == [False]
        assert "rows cannot be deleted yet: no space left" in caplog.text
        assert await place.janitor.sweep() == Freed(forgotten_rows=1)

    async def test_parts_go_after_a_day(self, place: Place, data_dir: Path) -> None:
        (data_dir / "parts" / "left").write_bytes(b"x" * SIZE)
        place.clock.time = datetime.now(UTC) + timedelta(hours=23)
        assert await place.janitor.sweep() == Freed()
        place.clock.advance(minutes=61)
        assert await place.janitor.sweep() == Freed(part_bytes=SIZE)


class TestTelling:
    async def test_what_is_evicted_is_told_batch_by_batch(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(janitor_module, "BATCH", 2)
        for number in range(15):
            await place.cache(number)
        assert await place.janitor.evict() == place.told_in_all == Freed(evicted_files=5, evicted_bytes=5 * SIZE)

    async def test_what_went_is_told_also_where_its_rows_stay(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def full(_: Collection[Sha256]) -> None:
            raise StorageFull("no space left")

        for number in range(12):
            await place.cache(number)
        monkeypatch.setattr(place.store, "forget_cached", full)
        with pytest.raises(StorageFull):
            await place.janitor.evict()
        assert place.told_in_all == Freed(evicted_files=2, evicted_bytes=2 * SIZE)

    async def test_what_is_swept_is_told(self, place: Place, data_dir: Path) -> None:
        await place.keep(b"o" * SIZE)
        (data_dir / "parts" / "left").write_bytes(b"x" * SIZE)
        place.clock.advance(minutes=1)
        swept = await place.janitor.sweep()
        assert swept == place.told_in_all == Freed(leftover_files=1, leftover_bytes=SIZE, part_bytes=SIZE)


class TestTask:
    """What goes on by itself. Room is made for the next file too, so that one file too many takes two."""

    async def test_a_file_too_many_brings_an_eviction(self, place: Place) -> None:
        place.janitor.start()
        for number in range(11):
            await place.cache(number)
            place.janitor.note_cached(SIZE)
        await until(lambda: len(place.store.cached) == 9)

    async def test_it_looks_only_when_there_may_be_too_much(self, place: Place) -> None:
        place.janitor.start()
        await place.cache(0)
        place.janitor.note_cached(SIZE)
        await until(lambda: place.store.measured == 1)
        for number in range(1, 10):
            await place.cache(number)
            place.janitor.note_cached(SIZE)
        await settle()
        assert place.store.measured == 1
        await place.cache(10)
        place.janitor.note_cached(SIZE)
        await until(lambda: place.store.measured == 2 and len(place.store.cached) == 9)

    async def test_a_file_of_unknown_size_counts_too(self, place: Place) -> None:
        place.janitor.start()
        for number in range(11):
            await place.cache(number)
        place.janitor.note_cached(None)
        await until(lambda: len(place.store.cached) == 9)

    async def test_another_size_takes_effect_at_once(self, place: Place) -> None:
        for number in range(8):
            await place.cache(number)
        place.janitor.start()
        place.janitor.configure(4 * SIZE)
        await until(lambda: len(place.store.cached) == 3)

    async def test_leftovers_go_soon_after_the_start_and_again(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(janitor_module, "FIRST_SWEEP", 0.01)
        monkeypatch.setattr(janitor_module, "SWEEP_EVERY", 0.01)
        place.janitor.start()
        for content in (b"one", b"two"):
            orphan = await place.keep(content)
            await until(lambda: not orphan.path.exists())  # noqa: B023

    async def test_a_cache_that_is_too_large_shrinks_after_the_start(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(janitor_module, "FIRST_SWEEP", 0.01)
        for number in range(12):
            await place.cache(number)
        place.janitor.start()
        await until(lambda: len(place.store.cached) == 9)

    async def test_trouble_is_logged_and_tried_again(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(janitor_module, "TRY_AGAIN", 0.01)
        for number in range(11):
            await place.cache(number)
        place.store.trouble = StorageTrouble("the disk is gone")
        place.janitor.start()
        place.janitor.note_cached(SIZE)
        await until(lambda: caplog.text.count("cannot keep the cache to its size: the disk is gone") > 1)
        place.store.trouble = None
        await until(lambda: len(place.store.cached) == 9)

    async def test_a_fault_does_not_end_it(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(janitor_module, "TRY_AGAIN", 0.01)
        for number in range(11):
            await place.cache(number)
        with monkeypatch.context() as patch:
            patch.setattr(place.store, "measure_cache", None)
            place.janitor.start()
            place.janitor.note_cached(SIZE)
            await until(lambda: "the cache is not kept to its size" in caplog.text)
        await until(lambda: len(place.store.cached) == 9)

    async def test_it_ends_when_it_is_closed_and_may_be_closed_unstarted(self, place: Place) -> None:
        place.janitor.start()
        await place.janitor.close()
        await place.another().close()
