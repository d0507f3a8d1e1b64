"""What every CacheStore promises, beside the rest of a MetadataStore."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from proxy.core.distributions import Kind
from proxy.core.names import parse_project_name
from proxy.ports import CachedBlob, CacheSize, PublishedBlob, Use
from proxy.sqlite.store import open_store
from tests.contracts.samples import DEMO, NOW, digests_of, new_file, page_entry
from tests.fakes.metadata_store import MemoryMetadataStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.ports import MetadataStore

HOUR = timedelta(hours=1)
ONE, TWO, THREE = (digests_of(content).sha256 for content in ("one", "two", "three"))


@asynccontextmanager
async def open_by_name(adapter: str, directory: Path) -> AsyncIterator[MetadataStore]:
    if adapter == "memory":
        yield MemoryMetadataStore()
    else:
        async with open_store(directory / "store.db") as store:
            yield store


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MetadataStore]:
    async with open_by_name(request.param, tmp_path) as opened:
        yield opened


async def least_used(store: MetadataStore, limit: int = 100) -> list[CachedBlob]:
    return list(await store.list_least_used(limit))


class TestUses:
    async def test_what_was_used_longest_ago_comes_first(self, store: MetadataStore) -> None:
        for sha256 in (ONE, TWO, THREE):
            await store.record_cached(sha256, 10, NOW)
        await store.record_uses({ONE: Use(10, NOW + 2 * HOUR), TWO: Use(10, NOW + HOUR)})
        assert [(blob.sha256, blob.used_at - NOW) for blob in await least_used(store)] == [
            (THREE, timedelta(0)),
            (TWO, HOUR),
            (ONE, 2 * HOUR),
        ]

    async def test_as_many_as_wanted_are_listed(self, store: MetadataStore) -> None:
        for number, sha256 in enumerate((ONE, TWO, THREE)):
            await store.record_cached(sha256, 10, NOW + number * HOUR)
        assert [blob.sha256 for blob in await least_used(store, 2)] == [ONE, TWO]

    async def test_an_older_use_changes_nothing(self, store: MetadataStore) -> None:
        await store.record_cached(ONE, 10, NOW)
        await store.record_uses({ONE: Use(10, NOW - HOUR)})
        assert await least_used(store) == [CachedBlob(ONE, 10, NOW)]

    async def test_a_use_counts_a_blob_whose_row_was_lost(self, store: MetadataStore) -> None:
        await store.record_uses({ONE: Use(10, NOW)})
        assert await least_used(store) == [CachedBlob(ONE, 10, NOW)]

    async def test_a_use_of_what_is_published_counts_nothing(self, store: MetadataStore) -> None:
        await store.publish(new_file(content="one", core_metadata=TWO), root=1, now=NOW)
        await store.record_uses({ONE: Use(3, NOW), TWO: Use(3, NOW), THREE: Use(5, NOW)})
        assert await least_used(store) == [CachedBlob(THREE, 5, NOW)]
        assert await store.list_cached(ONE[:2]) == []

    async def test_no_uses_are_noted_as_such(self, store: MetadataStore) -> None:
        await store.record_uses({})
        assert await least_used(store) == []

    async def test_a_file_that_is_cached_again_is_as_new(self, store: MetadataStore) -> None:
        await store.record_cached(ONE, 10, NOW)
        await store.record_cached(ONE, 11, NOW + HOUR)
        assert await least_used(store) == [CachedBlob(ONE, 11, NOW + HOUR)]


class TestPublished:
    """What is published is none of the cache's, whether it was cached before or after."""

    async def test_it_is_not_listed_to_be_evicted_and_takes_no_room(self, store: MetadataStore) -> None:
        await store.record_cached(ONE, 10, NOW)
        await store.record_cached(THREE, 5, NOW)
        await store.publish(new_file(content="one", core_metadata=TWO), root=1, now=NOW)
        await store.record_cached(TWO, 20, NOW)
        assert [blob.sha256 for blob in await least_used(store)] == [THREE]
        assert await store.measure_cache() == CacheSize(blobs=5, pages=0)

    async def test_deleted_it_counts_as_cached_again(self, store: MetadataStore) -> None:
        await store.record_cached(ONE, 10, NOW)
        file = await store.publish(new_file(content="one"), root=1, now=NOW)
        await store.delete_files([file.id], root=1)
        assert [blob.sha256 for blob in await least_used(store)] == [ONE]
        assert (await store.measure_cache()).blobs == 10

    async def test_it_is_listed_by_prefix_as_bytes_and_as_core_metadata(self, store: MetadataStore) -> None:
        await store.publish(new_file(content="one", core_metadata=TWO), root=1, now=NOW)
        bytes_of_it = PublishedBlob(ONE, 1, DEMO, "demo-1.0-py3-none-any.whl")
        metadata_of_it = PublishedBlob(TWO, 1, DEMO, "demo-1.0-py3-none-any.whl.metadata")
        assert await store.list_published(ONE[:2]) == [bytes_of_it]
        assert await store.list_published(TWO[:2]) == [metadata_of_it]
        assert await store.list_published("") == sorted([bytes_of_it, metadata_of_it])
        assert await store.list_published(THREE[:2]) == []

    async def test_of_several_files_with_the_same_bytes_the_first_is_told(self, store: MetadataStore) -> None:
        for project in (2, 1):
            await store.publish(new_file(content="one", project_id=project), root=1, now=NOW)
        await store.publish(new_file("six", content="two", core_metadata=ONE), root=1, now=NOW)
        [told] = await store.list_published(ONE[:2])
        assert (told.project_id, told.name) == (2, DEMO)

    async def test_a_source_distribution_has_no_core_metadata(self, store: MetadataStore) -> None:
        await store.publish(new_file(kind=Kind.SDIST, content="one"), root=1, now=NOW)
        assert [blob.sha256 for blob in await store.list_published("")] == [ONE]


class TestRows:
    async def test_cached_blobs_are_listed_by_prefix_in_order(self, store: MetadataStore) -> None:
        digests = sorted(digests_of(str(number)).sha256 for number in range(600))
        for sha256 in digests:
            await store.record_cached(sha256, 1, NOW)
        for prefix in ("00", "7f", "ff"):
            found = [blob.sha256 for blob in await store.list_cached(prefix)]
            assert found == [sha256 for sha256 in digests if sha256.startswith(prefix)]
        assert len(await store.list_cached("")) == 600

    async def test_what_is_forgotten_is_gone(self, store: MetadataStore) -> None:
        for sha256 in (ONE, TWO):
            await store.record_cached(sha256, 10, NOW)
        await store.forget_cached([ONE, THREE])
        assert [blob.sha256 for blob in await least_used(store)] == [TWO]
        await store.forget_cached([])
        assert (await store.measure_cache()).blobs == 10


class TestPages:
    async def test_they_take_room(self, store: MetadataStore) -> None:
        assert (await store.measure_cache()).pages == 0
        await store.save_page(page_entry(files=1))
        small = (await store.measure_cache()).pages
        await store.save_page(page_entry(files=50))
        assert (await store.measure_cache()).pages > small > 0
        await store.delete_page("pypi", DEMO)
        assert (await store.measure_cache()).pages == 0

    async def test_those_that_were_confirmed_longest_ago_go_first(self, store: MetadataStore) -> None:
        names = [parse_project_name(name) for name in ("one", "two", "ten")]
        for number, name in enumerate(names):
            await store.save_page(structs.replace(page_entry(name), checked_at=NOW + number * HOUR))
        assert await store.confirm_page(structs.replace(page_entry("one"), checked_at=NOW + 9 * HOUR))
        before = (await store.measure_cache()).pages
        freed = await store.delete_oldest_pages(before - 1)
        assert freed == before - (await store.measure_cache()).pages
        assert [await store.find_page("pypi", name) is None for name in names] == [False, True, False]

    async def test_none_goes_while_there_is_room(self, store: MetadataStore) -> None:
        await store.save_page(page_entry())
        assert await store.delete_oldest_pages((await store.measure_cache()).pages) == 0
        assert await store.find_page("pypi", DEMO) == page_entry()

    async def test_all_go_where_there_is_none(self, store: MetadataStore) -> None:
        for name in ("one", "two"):
            await store.save_page(page_entry(name))
        await store.delete_oldest_pages(0)
        assert (await store.measure_cache()).pages == 0
