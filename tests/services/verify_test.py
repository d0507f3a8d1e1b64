"""What `verify` finds among all blobs, and what a repair does about it, beside a running server too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import StorageTrouble
from proxy.disk import open_blob_store
from proxy.ports import PREFIXES, PublishedBlob
from proxy.services.findings import Fault, Finding
from proxy.services.verify import Verified, Verifier
from tests.contracts.samples import DEMO, NOW, new_file
from tests.fakes.metadata_store import MemoryMetadataStore
from tests.services.stored import cache, keep, lose, publish, spoil

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from proxy.core.digests import Sha256
    from proxy.disk import DiskBlobStore
    from proxy.ports import BlobStore

FILENAME = "demo-1.0-py3-none-any.whl"


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@pytest.fixture
def store() -> MemoryMetadataStore:
    return MemoryMetadataStore()


@pytest.fixture
async def blobs(data_dir: Path) -> AsyncIterator[DiskBlobStore]:
    async with open_blob_store(data_dir) as store:
        yield store


async def verify(store: MemoryMetadataStore, blobs: BlobStore, *, repair: bool = False) -> Verified:
    verifier = Verifier(store, blobs, SystemClock(), repair=repair)
    done = [await verifier.verify(prefix) for prefix in PREFIXES]
    findings = tuple(finding for each in done for finding in each.findings)
    return Verified(sum(each.intact for each in done), sum(each.unreferenced for each in done), findings)


def published(sha256: Sha256, filename: str = FILENAME) -> PublishedBlob:
    return PublishedBlob(sha256, 1, DEMO, filename)


def in_quarantine(data_dir: Path) -> list[str]:
    return [path.name for path in data_dir.glob("quarantine/*")]


# What is found


async def test_what_is_as_it_should_be_is_counted(store: MemoryMetadataStore, blobs: DiskBlobStore) -> None:
    await publish(blobs, store)
    await cache(blobs, store)
    await keep(blobs, b"left by an upload that was killed")
    assert await verify(store, blobs, repair=True) == Verified(3, 1, ())


async def test_each_fault_is_told_by_who_needs_the_blob(store: MemoryMetadataStore, blobs: DiskBlobStore) -> None:
    bad, missing = await publish(blobs, store, "bad", "demo"), await publish(blobs, store, "missing", "other")
    bad_cached, missing_cached = await cache(blobs, store, "bad, cached"), await cache(blobs, store, "gone, cached")
    for sha256 in (bad, bad_cached):
        await spoil(blobs, sha256)
    for sha256 in (missing, missing_cached):
        await lose(blobs, sha256)
    done = await verify(store, blobs)
    assert (done.intact, done.unreferenced) == (0, 0)
    assert {(finding.sha256, finding.fault) for finding in done.findings} == {
        (bad, Fault.BAD_PUBLISHED),
        (missing, Fault.MISSING_PUBLISHED),
        (bad_cached, Fault.BAD_CACHED),
        (missing_cached, Fault.MISSING_CACHED),
    }
    assert {finding.file.name for finding in done.findings if finding.file} == {"demo", "other"}


async def test_a_blob_that_is_cut_short_or_empty_is_bad(store: MemoryMetadataStore, blobs: DiskBlobStore) -> None:
    for number, rest in enumerate([b"", b"byte", b"bytes and more"]):
        sha256 = await publish(blobs, store, f"bytes {number}", f"demo{number}")
        await spoil(blobs, sha256, rest)
    assert [finding.fault for finding in (await verify(store, blobs)).findings] == [Fault.BAD_PUBLISHED] * 3


async def test_published_core_metadata_counts_as_its_file(store: MemoryMetadataStore, blobs: DiskBlobStore) -> None:
    metadata = await keep(blobs, b"Metadata-Version: 2.1")
    await keep(blobs, b"bytes")
    await store.publish(new_file(core_metadata=metadata), root=1, now=NOW)
    await spoil(blobs, metadata)
    file = published(metadata, f"{FILENAME}.metadata")
    assert (await verify(store, blobs)).findings == (Finding(Fault.BAD_PUBLISHED, metadata, file),)


async def test_a_blob_that_is_both_published_and_cached_is_published(
    store: MemoryMetadataStore, blobs: DiskBlobStore
) -> None:
    sha256 = await publish(blobs, store)
    await store.record_cached(sha256, 5, NOW)
    await lose(blobs, sha256)
    assert (await verify(store, blobs, repair=True)).findings == (
        Finding(Fault.MISSING_PUBLISHED, sha256, published(sha256)),
    )


async def test_bad_bytes_that_no_row_names_are_bad_too(store: MemoryMetadataStore, blobs: DiskBlobStore) -> None:
    """A file whose page lists their digest would be served from them."""
    sha256 = await keep(blobs, b"cached, its row lost in a crash")
    await spoil(blobs, sha256)
    assert (await verify(store, blobs)).findings == (Finding(Fault.BAD_CACHED, sha256),)
    assert (await verify(store, blobs, repair=True)).findings == (Finding(Fault.BAD_CACHED, sha256, repaired=True),)
    assert await blobs.find(sha256) is None


async def test_what_cannot_be_read_is_bad_and_stops_nothing(
    store: MemoryMetadataStore, blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreadable = await publish(blobs, store, "on a bad sector")
    await cache(blobs, store, "elsewhere")
    look = blobs.is_intact

    async def is_intact(sha256: Sha256) -> bool | None:
        if sha256 == unreadable:
            raise StorageTrouble("cannot read a file (EIO)")
        return await look(sha256)

    monkeypatch.setattr(blobs, "is_intact", is_intact)
    done = await verify(store, blobs)
    assert done == Verified(1, 0, (Finding(Fault.BAD_PUBLISHED, unreadable, published(unreadable)),))


# Repairs


async def test_without_repair_nothing_changes(
    store: MemoryMetadataStore, blobs: DiskBlobStore, data_dir: Path
) -> None:
    bad, cached, gone = await publish(blobs, store), await cache(blobs, store), await cache(blobs, store, "gone")
    await spoil(blobs, bad)
    await spoil(blobs, cached)
    await lose(blobs, gone)
    first = await verify(store, blobs)
    assert len(first.findings) == 3
    assert await verify(store, blobs) == first
    assert store.cached.keys() == {cached, gone}
    assert in_quarantine(data_dir) == []


async def test_a_repair_drops_what_was_cached(store: MemoryMetadataStore, blobs: DiskBlobStore) -> None:
    bad, gone = await cache(blobs, store, "bad"), await cache(blobs, store, "gone")
    kept = await cache(blobs, store, "kept")
    await spoil(blobs, bad)
    await lose(blobs, gone)
    done = await verify(store, blobs, repair=True)
    assert all(finding.repaired for finding in done.findings)
    assert len(done.findings) == 2
    assert store.cached.keys() == {kept}
    assert await blobs.find(bad) is None
    assert await verify(store, blobs) == Verified(1, 0, ())


async def test_a_repair_puts_what_was_published_aside_and_keeps_its_row(
    store: MemoryMetadataStore, blobs: DiskBlobStore, data_dir: Path
) -> None:
    sha256 = await publish(blobs, store)
    await spoil(blobs, sha256)
    assert (await verify(store, blobs, repair=True)).findings == (
        Finding(Fault.BAD_PUBLISHED, sha256, published(sha256), repaired=True),
    )
    assert await blobs.find(sha256) is None
    assert in_quarantine(data_dir) == [sha256]
    assert await store.list_names([1]) == [DEMO]
    assert (await verify(store, blobs, repair=True)).findings == (
        Finding(Fault.MISSING_PUBLISHED, sha256, published(sha256)),
    )


async def test_the_same_bytes_again_heal_a_file_that_was_put_aside(
    store: MemoryMetadataStore, blobs: DiskBlobStore
) -> None:
    sha256 = await publish(blobs, store, "bytes")
    await spoil(blobs, sha256)
    await verify(store, blobs, repair=True)
    await keep(blobs, b"bytes")
    assert await verify(store, blobs) == Verified(1, 0, ())


async def test_what_cannot_be_repaired_now_is_left_and_told(
    store: MemoryMetadataStore, blobs: DiskBlobStore, data_dir: Path
) -> None:
    """While a backup is made nothing leaves the store."""
    bad, cached = await publish(blobs, store), await cache(blobs, store)
    await spoil(blobs, bad)
    await spoil(blobs, cached)
    async with open_blob_store(data_dir) as other, other.held_still():
        done = await verify(store, blobs, repair=True)
    assert [finding.repaired for finding in done.findings] == [False, False]
    assert store.cached.keys() == {cached}
    assert all(finding.repaired for finding in (await verify(store, blobs, repair=True)).findings)


async def test_a_repair_that_the_disk_refuses_is_told(
    store: MemoryMetadataStore, blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: Sha256) -> bool:
        raise StorageTrouble("cannot put a file aside (EROFS)")

    await spoil(blobs, await publish(blobs, store))
    monkeypatch.setattr(blobs, "quarantine", refuse)
    assert [finding.repaired for finding in (await verify(store, blobs, repair=True)).findings] == [False]


# Beside a running server


class Busy(MemoryMetadataStore):
    """Lets something happen right before its rows are told: once the blobs were read, and perhaps again."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Callable[[], Awaitable[object]]] = []

    async def list_published(self, prefix: str) -> Sequence[PublishedBlob]:
        if prefix == self.prefix and self.meanwhile:
            await self.meanwhile.pop(0)()
        return await super().list_published(prefix)

    prefix = ""


async def test_a_file_that_is_published_meanwhile_is_not_missing(blobs: DiskBlobStore) -> None:
    store = Busy()
    sha256 = await keep(blobs, b"bytes")
    await lose(blobs, sha256)
    store.prefix = sha256[:2]
    store.meanwhile = [lambda: publish(blobs, store, "bytes")]
    assert await verify(store, blobs, repair=True) == Verified(1, 0, ())
    assert store.meanwhile == []


async def test_what_is_deleted_meanwhile_is_not_missing(blobs: DiskBlobStore) -> None:
    store = Busy()
    sha256 = await publish(blobs, store)
    await lose(blobs, sha256)
    (file,) = await store.list_files([1], DEMO)

    async def nothing() -> None: ...

    async def delete() -> None:
        await store.delete_files([file.id], root=1)

    store.prefix = sha256[:2]
    store.meanwhile = [nothing, delete]
    assert await verify(store, blobs) == Verified(0, 0, ())
    assert store.meanwhile == []


async def test_a_bad_cached_blob_that_is_published_meanwhile_is_healed_and_stays(blobs: DiskBlobStore) -> None:
    store = Busy()
    sha256 = await cache(blobs, store, "bytes")
    await spoil(blobs, sha256)
    store.prefix = sha256[:2]
    store.meanwhile = [lambda: publish(blobs, store, "bytes")]
    await verify(store, blobs, repair=True)
    assert store.meanwhile == []
    assert await blobs.read(sha256, limit=10) == b"bytes"
    assert await verify(store, blobs) == Verified(1, 0, ())


async def test_a_blob_that_is_committed_again_right_before_its_repair_stays(
    store: MemoryMetadataStore, blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row may be on the way: a drop would lose an upload."""
    cached, bad = await cache(blobs, store, "cached"), await publish(blobs, store, "bytes")
    await spoil(blobs, cached)
    await spoil(blobs, bad)
    delete, quarantine = blobs.delete, blobs.quarantine

    async def heal_then_delete(sha256: Sha256, *, older_than: datetime | None = None) -> bool:
        await keep(blobs, b"cached")
        return await delete(sha256, older_than=older_than)

    async def heal_then_quarantine(sha256: Sha256) -> bool:
        await keep(blobs, b"bytes")
        return await quarantine(sha256)

    monkeypatch.setattr(blobs, "delete", heal_then_delete)
    monkeypatch.setattr(blobs, "quarantine", heal_then_quarantine)
    assert [finding.repaired for finding in (await verify(store, blobs, repair=True)).findings] == [False, False]
    assert await verify(store, blobs) == Verified(2, 0, ())
