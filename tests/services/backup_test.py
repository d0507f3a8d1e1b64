"""What is copied into a backup or out of one: what the rows name, and never wrong bytes."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest

from proxy.core.errors import StorageFull
from proxy.disk import open_blob_store
from proxy.ports import PREFIXES
from proxy.services.backup import Copied, Copier
from proxy.services.findings import Fault, Finding
from tests.fakes.metadata_store import MemoryMetadataStore
from tests.services.stored import cache, keep, lose, publish, spoil

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.disk import DiskBlobStore


class World(NamedTuple):
    rows: MemoryMetadataStore
    source: DiskBlobStore
    target: DiskBlobStore

    async def copy(self, *, with_cached: bool = False) -> Copied:
        copier = Copier(self.rows, self.source, self.target, with_cached=with_cached)
        done = [await copier.copy(prefix) for prefix in PREFIXES]
        findings = tuple(finding for each in done for finding in each.findings)
        return Copied(sum(each.blobs for each in done), sum(each.size for each in done), findings)

    async def copied(self) -> set[str]:
        return {blob.sha256 for prefix in PREFIXES for blob in await self.target.list_blobs(prefix)}


@pytest.fixture
async def world(data_dir: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(open_blob_store(data_dir / "source"))
        target = await stack.enter_async_context(open_blob_store(data_dir / "target"))
        yield World(MemoryMetadataStore(), source, target)


async def test_what_was_published_is_copied_and_nothing_else(world: World) -> None:
    published = await publish(world.source, world.rows, "bytes")
    await cache(world.source, world.rows)
    await keep(world.source, b"nobody's")
    assert await world.copy() == Copied(1, 5, ())
    assert await world.copied() == {published}
    assert await world.target.read(published, limit=10) == b"bytes"


async def test_rows_of_what_is_not_copied_from_the_cache_go(world: World) -> None:
    await cache(world.source, world.rows)
    await world.copy()
    assert world.rows.cached == {}


async def test_cached_blobs_are_copied_where_that_is_asked_for(world: World) -> None:
    published, cached = await publish(world.source, world.rows), await cache(world.source, world.rows)
    evicted = await cache(world.source, world.rows, "evicted")
    await lose(world.source, evicted)
    done = await world.copy(with_cached=True)
    assert (done.blobs, done.findings) == (2, ())
    assert await world.copied() == {published, cached}
    assert world.rows.cached.keys() == {cached}


async def test_a_big_blob_is_copied_in_pieces(world: World) -> None:
    sha256 = await publish(world.source, world.rows, "0123456789" * 300_000)
    assert (await world.copy()).size == 3_000_000
    assert await world.target.is_intact(sha256)


async def test_wrong_bytes_are_left_out_and_told(world: World) -> None:
    bad, missing = (
        await publish(world.source, world.rows, "bad", "a"),
        await publish(world.source, world.rows, "m", "b"),
    )
    cached, good = await cache(world.source, world.rows), await publish(world.source, world.rows, "good", "c")
    await spoil(world.source, bad)
    await spoil(world.source, cached)
    await lose(world.source, missing)
    done = await world.copy(with_cached=True)
    assert {(finding.sha256, finding.fault) for finding in done.findings} == {
        (bad, Fault.BAD_PUBLISHED),
        (missing, Fault.MISSING_PUBLISHED),
        (cached, Fault.BAD_CACHED),
    }
    assert await world.copied() == {good}
    assert await world.rows.list_names([1]) == ["a", "b", "c"]
    assert world.rows.cached == {}


async def test_what_cannot_be_read_is_left_out_and_told(world: World) -> None:
    sha256 = await publish(world.source, world.rows)
    await lose(world.source, sha256)
    blob_path = world.source._layout.blob(sha256)
    blob_path.mkdir()
    done = await world.copy()
    assert [(finding.sha256, finding.fault) for finding in done.findings] == [(sha256, Fault.BAD_PUBLISHED)]
    assert isinstance(done.findings[0], Finding)
    assert await world.copied() == set()


async def test_a_copy_that_finds_no_room_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(**_: object) -> None:
        raise StorageFull("no space left")

    await publish(world.source, world.rows)
    monkeypatch.setattr(world.target, "writer", full)
    with pytest.raises(StorageFull):
        await world.copy()


async def test_no_part_is_left_behind(world: World, data_dir: Path) -> None:
    await spoil(world.source, await publish(world.source, world.rows))
    await world.copy()
    assert list((data_dir / "target" / "parts").iterdir()) == []
