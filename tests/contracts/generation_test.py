"""The mark by which what was read of local names is known to hold."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import NameTaken
from proxy.core.model import ProjectStatus, Status
from proxy.sqlite.generation import Generation
from proxy.sqlite.store import open_store
from tests.contracts.metadata_store_test import open_by_name
from tests.contracts.samples import DEMO, NOW, digests_of, new_file, page_entry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from proxy.ports import MetadataStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MetadataStore]:
    """Demo 1.0 is there, as file and release 1 of project 1 under the top-level group 1."""
    async with open_by_name(request.param, tmp_path) as opened:
        await opened.publish(new_file(), root=1, now=NOW)
        yield opened


PUBLICATIONS: dict[str, Callable[[MetadataStore], Awaitable[object]]] = {
    "publish": lambda store: store.publish(new_file(version="2.0"), root=1, now=NOW),
    "yank": lambda store: store.save_yank([1], "broken"),
    "status": lambda store: store.save_status(1, DEMO, ProjectStatus(Status.ARCHIVED)),
    "delete a release": lambda store: store.delete_release(1, root=1),
    "delete a file": lambda store: store.delete_files([1], root=1),
}


@pytest.mark.parametrize("publication", PUBLICATIONS)
async def test_what_changes_the_pages_changes_it(store: MetadataStore, publication: str) -> None:
    before = store.generation()
    await PUBLICATIONS[publication](store)
    assert store.generation() != before


async def test_giving_a_name_up_changes_it(store: MetadataStore) -> None:
    await store.delete_files([1], root=1)
    before = store.generation()
    await store.release_name(1, [1], DEMO)
    assert store.generation() != before


async def test_what_changes_no_page_leaves_it(store: MetadataStore) -> None:
    before = store.generation()
    await store.list_files([1], DEMO)
    await store.save_page(page_entry())
    await store.record_cached(digests_of("cached").sha256, 6, NOW)
    await store.record_downloads({1: NOW})
    await store.probe()
    assert store.generation() == before


@asynccontextmanager
async def two_stores(tmp_path: Path) -> AsyncIterator[tuple[MetadataStore, MetadataStore]]:
    """Over one file, as two processes have it."""
    path = tmp_path / "store.db"
    async with open_store(path) as one, open_store(path) as other:
        yield one, other


async def test_all_see_it_change(tmp_path: Path) -> None:
    async with two_stores(tmp_path) as (one, other):
        before = one.generation()
        assert other.generation() == before
        await other.publish(new_file(), root=1, now=NOW)
        assert one.generation() == other.generation() != before


async def test_it_never_comes_back(tmp_path: Path) -> None:
    """A count would: a writer who read it long ago writes an old one."""
    async with two_stores(tmp_path) as (one, other):
        seen = {one.generation()}
        for version in range(50):
            await (one, other)[version % 2].publish(new_file(version=str(version)), root=1, now=NOW)
            seen.add(one.generation())
        assert len(seen) == 51


async def test_a_publication_that_fails_may_change_it_but_breaks_nothing(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.db") as store:
        await store.publish(new_file(), root=1, now=NOW)
        with pytest.raises(NameTaken):
            await store.publish(new_file(), root=1, now=NOW)
        assert store.generation() == store.generation()


def test_where_the_disk_gives_none_nothing_ever_holds(tmp_path: Path) -> None:
    generation = Generation(tmp_path / "absent" / "mark")
    assert generation.look() != generation.look()
    generation.renew()
    generation.close()


def test_what_holds_it_is_private(tmp_path: Path) -> None:
    generation = Generation(tmp_path / "mark")
    generation.look()
    generation.close()
    assert (tmp_path / "mark").stat().st_mode & 0o777 == 0o600
