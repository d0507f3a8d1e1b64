"""What every BlobStore does. A new adapter joins by its opener in STORES."""

from __future__ import annotations

import asyncio
import hashlib
import zipfile
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import pytest

from proxy.core.digests import sha256_of
from proxy.core.errors import StorageTrouble
from proxy.disk import open_blob_store
from proxy.ports import PREFIXES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from proxy.ports import Blob, BlobStore, BlobWriter, ShownPart

Opener: TypeAlias = "Callable[[Path], AbstractAsyncContextManager[BlobStore]]"

STORES = [pytest.param(open_blob_store, id="disk")]
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
CHUNKS = [bytes([number]) * 1000 for number in range(20)]
WHOLE = b"".join(CHUNKS)


@pytest.fixture(params=STORES)
def opener(request: pytest.FixtureRequest) -> Opener:
    chosen: Opener = request.param
    return chosen


@pytest.fixture
async def blobs(opener: Opener, tmp_path: Path) -> AsyncIterator[BlobStore]:
    async with opener(tmp_path) as store:
        yield store


@asynccontextmanager
async def a_part(blobs: BlobStore, data: bytes = b"", *, full_digests: bool = False) -> AsyncIterator[BlobWriter]:
    part = await blobs.writer(full_digests=full_digests)
    try:
        if data:
            await part.write(data)
        yield part
    finally:
        await part.close()


async def keep(blobs: BlobStore, data: bytes) -> Blob:
    async with a_part(blobs, data) as part:
        return await part.commit()


# What is not there


async def test_an_absent_blob_is_none_everywhere(blobs: BlobStore) -> None:
    sha256 = sha256_of(b"never written")
    assert await blobs.find(sha256) is None
    assert await blobs.read(sha256, limit=10) is None
    assert not await blobs.delete(sha256)


# Commit


async def test_committed_bytes_are_found_by_their_digest(blobs: BlobStore) -> None:
    async with a_part(blobs) as part:
        for chunk in CHUNKS:
            await part.write(chunk)
        blob = await part.commit()
    assert blob == await blobs.find(sha256_of(WHOLE))
    assert (blob.sha256, blob.size, blob.path.read_bytes()) == (sha256_of(WHOLE), len(WHOLE), WHOLE)


async def test_a_blob_may_be_empty(blobs: BlobStore) -> None:
    assert (await keep(blobs, b"")).size == 0
    assert await blobs.read(sha256_of(b""), limit=0) == b""


async def test_a_blob_is_there_for_the_next_server(opener: Opener, tmp_path: Path) -> None:
    async with opener(tmp_path) as blobs:
        await keep(blobs, WHOLE)
    async with opener(tmp_path) as blobs:
        assert await blobs.read(sha256_of(WHOLE), limit=len(WHOLE)) == WHOLE


async def test_a_part_cannot_be_found_by_its_digest(blobs: BlobStore) -> None:
    async with a_part(blobs, WHOLE):
        assert await blobs.find(sha256_of(WHOLE)) is None
        assert await blobs.read(sha256_of(WHOLE), limit=len(WHOLE)) is None
    assert await blobs.find(sha256_of(WHOLE)) is None


async def test_commit_and_close_may_be_repeated(blobs: BlobStore) -> None:
    async with a_part(blobs, WHOLE) as part:
        blob = await part.commit()
        assert await part.commit() == blob
        await part.close()
        await part.close()
    assert await blobs.find(blob.sha256) == blob


async def test_the_same_bytes_again_leave_open_readers_in_peace(blobs: BlobStore) -> None:
    blob = await keep(blobs, WHOLE)
    with blob.path.open("rb") as reader:
        beginning = reader.read(10)
        assert await keep(blobs, WHOLE) == blob
        assert beginning + reader.read() == WHOLE
    assert await blobs.find(blob.sha256) == blob


async def test_the_same_bytes_committed_at_once_are_one_blob(blobs: BlobStore) -> None:
    kept = await asyncio.gather(*(keep(blobs, WHOLE) for _ in range(10)))
    assert set(kept) == {await blobs.find(sha256_of(WHOLE))}


async def test_parts_at_once_do_not_mix(blobs: BlobStore) -> None:
    async def slowly(letter: bytes) -> Blob:
        async with a_part(blobs) as part:
            for _ in range(50):
                await part.write(letter)
            return await part.commit()

    letters = [b"a", b"b", b"c", b"d"]
    kept = await asyncio.gather(*map(slowly, letters))
    assert [blob.path.read_bytes() for blob in kept] == [letter * 50 for letter in letters]


# Digests


async def test_digests_are_of_all_that_was_written(blobs: BlobStore) -> None:
    async with a_part(blobs, b"one", full_digests=True) as part:
        await part.write(b"two")
        found = part.digests()
    assert found.sha256 == hashlib.sha256(b"onetwo").hexdigest()
    assert found.blake2b == hashlib.blake2b(b"onetwo", digest_size=32).hexdigest()
    assert found.md5 == hashlib.md5(b"onetwo", usedforsecurity=False).hexdigest()
    assert found.size == 6


async def test_only_the_sha256_is_computed_unasked(blobs: BlobStore) -> None:
    async with a_part(blobs, b"onetwo") as part:
        assert part.digests() == (sha256_of(b"onetwo"), "", "", 6)


# Reading a part


@pytest.mark.parametrize(
    ("offset", "size", "expected"),
    [(0, 4, b"0123"), (3, 2, b"34"), (8, 10, b"89"), (10, 5, b""), (99, 5, b""), (2, 0, b"")],
)
async def test_read_gives_what_is_written_from_an_offset(
    blobs: BlobStore, offset: int, size: int, expected: bytes
) -> None:
    async with a_part(blobs, b"0123456789") as part:
        assert await part.read(offset, size) == expected


async def test_a_part_without_bytes_reads_as_empty(blobs: BlobStore) -> None:
    async with a_part(blobs) as part:
        assert part.size == 0
        assert await part.read(0, 10) == b""
        with part.reader() as reader:
            assert reader.read() == b""


async def follow(part: BlobWriter, grown: asyncio.Condition, step: int) -> bytes:
    """All of WHOLE, at most `step` bytes at a time, as it is written."""
    seen = b""

    def has_more() -> bool:
        return part.size > len(seen)

    while len(seen) < len(WHOLE):
        async with grown:
            await grown.wait_for(has_more)
        chunk = await part.read(len(seen), step)
        assert chunk
        seen += chunk
    return seen


async def test_followers_get_all_bytes_in_order_while_they_arrive(blobs: BlobStore) -> None:
    async with a_part(blobs) as part:
        grown = asyncio.Condition()
        followers = [asyncio.create_task(follow(part, grown, step)) for step in (70, 1000, 64 * 1024)]
        for chunk in CHUNKS:
            await part.write(chunk)
            async with grown:
                grown.notify_all()
        await part.commit()
        assert await asyncio.wait_for(asyncio.gather(*followers), 30) == [WHOLE] * 3


async def test_a_follower_reads_on_after_the_commit_and_the_blobs_end(blobs: BlobStore) -> None:
    async with a_part(blobs, WHOLE) as part:
        blob = await part.commit()
        await blobs.delete(blob.sha256)
        assert await part.read(500, 1000) == WHOLE[500:1500]


async def test_a_closed_part_is_read_no_more(blobs: BlobStore) -> None:
    async with a_part(blobs, WHOLE) as part:
        await part.close()
        with pytest.raises(StorageTrouble):
            await part.read(0, 1)
        with pytest.raises(StorageTrouble):
            part.reader()


async def test_a_reader_is_a_file_of_what_was_written_when_it_was_made(blobs: BlobStore) -> None:
    async with a_part(blobs, b"0123456789") as part:
        with part.reader() as reader, part.reader() as other:
            await part.write(b"more")
            assert reader.read(4) == b"0123"
            assert other.seek(-2, 2) == 8
            assert other.read() == b"89"
            assert reader.tell() == 4
            assert reader.seek(2, 1) == 6
            assert reader.read() == b"6789"


async def test_a_reader_outlives_its_part(blobs: BlobStore) -> None:
    async with a_part(blobs, WHOLE) as part:
        reader = part.reader()
    with reader:
        assert reader.read() == WHOLE


async def test_an_archive_is_read_before_the_commit(blobs: BlobStore, tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("METADATA", "Name: demo")
    async with a_part(blobs, archive.read_bytes()) as part:
        with part.reader() as reader, zipfile.ZipFile(reader) as read:
            assert read.read("METADATA") == b"Name: demo"


# Parts that come to nothing


async def test_what_has_ended_takes_no_more_bytes(blobs: BlobStore) -> None:
    async with a_part(blobs, b"kept") as part:
        blob = await part.commit()
        with pytest.raises(StorageTrouble):
            await part.write(b"more")
    async with a_part(blobs, b"closed") as part:
        await part.close()
        with pytest.raises(StorageTrouble):
            await part.write(b"more")
        with pytest.raises(StorageTrouble):
            await part.commit()
    assert await blobs.read(blob.sha256, limit=10) == b"kept"
    assert await blobs.find(sha256_of(b"closed")) is None


async def test_a_part_with_a_cancelled_write_cannot_be_committed(blobs: BlobStore) -> None:
    async with a_part(blobs, b"first") as part:
        writing = asyncio.create_task(part.write(b"second"))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        with pytest.raises(StorageTrouble):
            await part.commit()
    assert await blobs.find(sha256_of(b"first")) is None


async def test_a_part_may_be_closed_while_a_cancelled_commit_is_at_work(blobs: BlobStore) -> None:
    for number in range(20):
        data = b"%d" % number
        async with a_part(blobs, data) as part:
            committing = asyncio.create_task(part.commit())
            await asyncio.sleep(0)
            committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing
        assert await blobs.read(sha256_of(data), limit=10) in {None, data}
    assert await blobs.sweep(datetime.now(UTC) + timedelta(hours=1)) == 0


# The rest of the store


async def test_read_refuses_a_blob_over_its_limit(blobs: BlobStore) -> None:
    blob = await keep(blobs, b"0123456789")
    assert await blobs.read(blob.sha256, limit=10) == b"0123456789"
    with pytest.raises(StorageTrouble):
        await blobs.read(blob.sha256, limit=9)


async def test_a_deleted_blob_is_gone_and_may_come_again(blobs: BlobStore) -> None:
    blob = await keep(blobs, WHOLE)
    assert await blobs.delete(blob.sha256)
    assert await blobs.find(blob.sha256) is None
    assert await keep(blobs, WHOLE) == blob


async def test_who_has_a_deleted_blob_open_reads_on(blobs: BlobStore) -> None:
    blob = await keep(blobs, WHOLE)
    with blob.path.open("rb") as file:
        assert await blobs.delete(blob.sha256)
        assert file.read() == WHOLE


async def test_delete_may_ask_for_an_age(blobs: BlobStore) -> None:
    before = datetime.now(UTC)
    blob = await keep(blobs, WHOLE)
    assert not await blobs.delete(blob.sha256, older_than=before)
    assert await blobs.delete(blob.sha256, older_than=datetime.now(UTC) + timedelta(seconds=1))


async def test_a_commit_makes_young_what_was_written_long_before(blobs: BlobStore) -> None:
    async with a_part(blobs, WHOLE) as part:
        written = datetime.now(UTC)
        blob = await part.commit()
    assert not await blobs.delete(blob.sha256, older_than=written)
    [facts] = await blobs.list_blobs(blob.sha256[:2])
    assert written <= facts.stored_at <= datetime.now(UTC)


async def test_a_blob_stays_until_the_part_that_committed_it_is_closed(blobs: BlobStore) -> None:
    """A publisher names it in a row meanwhile: who removes what no row names must not come between."""
    await keep(blobs, WHOLE)
    async with a_part(blobs, WHOLE) as part:
        assert await blobs.list_held() == set()
        blob = await part.commit()
        assert await blobs.list_held() == {blob.sha256[:2]}
        assert not await blobs.delete(blob.sha256)
        assert await blobs.find(blob.sha256) == blob
    assert await blobs.list_held() == set()
    assert await blobs.delete(blob.sha256)


async def test_a_part_whose_row_is_in_lets_its_blob_go_and_is_read_on(blobs: BlobStore) -> None:
    async with a_part(blobs, WHOLE) as part:
        await part.let_go()
        blob = await part.commit()
        await part.let_go()
        await part.let_go()
        assert await blobs.list_held() == set()
        assert await blobs.delete(blob.sha256)
        assert await part.read(0, len(WHOLE)) == WHOLE
        with pytest.raises(StorageTrouble):
            await part.write(b"more")


async def test_of_several_parts_the_last_to_close_gives_a_blob_free(blobs: BlobStore) -> None:
    async with a_part(blobs, WHOLE) as first:
        async with a_part(blobs, WHOLE) as second:
            blob = await first.commit()
            await second.commit()
        assert not await blobs.delete(blob.sha256)
    assert await blobs.delete(blob.sha256)


async def test_no_blob_goes_while_the_store_is_held_still(blobs: BlobStore) -> None:
    blob = await keep(blobs, WHOLE)
    async with blobs.held_still():
        assert not await blobs.delete(blob.sha256)
        other = await keep(blobs, b"added meanwhile")
    assert await blobs.delete(blob.sha256)
    assert await blobs.find(other.sha256) == other


async def test_the_store_is_held_still_by_one_at_a_time(blobs: BlobStore) -> None:
    order = []

    async def hold(name: str) -> None:
        async with blobs.held_still():
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

    async with asyncio.timeout(10):
        await asyncio.gather(hold("one"), hold("two"))
    assert order == ["one begins", "one ends", "two begins", "two ends"]


async def test_blobs_are_listed_by_prefix_in_the_order_of_their_digests(blobs: BlobStore) -> None:
    kept = [await keep(blobs, b"%d" % number) for number in range(600)]
    listed = [facts for prefix in PREFIXES for facts in await blobs.list_blobs(prefix)]
    assert [(facts.sha256, facts.size) for facts in listed] == sorted((blob.sha256, blob.size) for blob in kept)
    assert {facts.sha256[:2] for facts in await blobs.list_blobs("a0")} <= {"a0"}


async def test_intact_is_what_has_its_digest(blobs: BlobStore) -> None:
    blob = await keep(blobs, WHOLE)
    assert await blobs.is_intact(blob.sha256) is True
    assert await blobs.is_intact(sha256_of(b"never written")) is None
    blob.path.write_bytes(WHOLE[:-1])
    assert await blobs.is_intact(blob.sha256) is False


async def test_a_blob_whose_bytes_are_wrong_is_put_aside(blobs: BlobStore) -> None:
    blob = await keep(blobs, WHOLE)
    blob.path.write_bytes(b"rotten")
    assert await blobs.quarantine(blob.sha256)
    assert await blobs.find(blob.sha256) is None
    assert await blobs.list_blobs(blob.sha256[:2]) == []
    assert not await blobs.quarantine(blob.sha256)
    assert await keep(blobs, WHOLE) == blob


async def test_a_blob_that_was_healed_meanwhile_is_not_put_aside(blobs: BlobStore) -> None:
    blob = await keep(blobs, WHOLE)
    blob.path.write_bytes(b"rotten")
    assert await blobs.is_intact(blob.sha256) is False
    await keep(blobs, WHOLE)
    assert not await blobs.quarantine(blob.sha256)
    assert await blobs.read(blob.sha256, limit=len(WHOLE)) == WHOLE


async def test_sweep_takes_neither_blobs_nor_parts_that_are_open(blobs: BlobStore) -> None:
    blob = await keep(blobs, WHOLE)
    async with a_part(blobs, b"0123456789") as part:
        assert await blobs.sweep(LONG_AGO) == 0
        assert await blobs.sweep(datetime.now(UTC) + timedelta(hours=1)) == 0
        kept = await part.commit()
    assert await blobs.find(kept.sha256) == kept
    assert await blobs.find(blob.sha256) == blob


async def test_a_probe_leaves_nothing_behind(blobs: BlobStore) -> None:
    await blobs.probe()
    assert await blobs.sweep(datetime.now(UTC) + timedelta(hours=1)) == 0


# Parts that are shown


@asynccontextmanager
async def a_shown_part(blobs: BlobStore, data: bytes, length: int | None) -> AsyncIterator[BlobWriter]:
    part = await blobs.writer()
    part.show(sha256_of(WHOLE), length)
    try:
        await part.write(data)
        yield part
    finally:
        await part.close()


async def read_shown(blobs: BlobStore) -> ShownPart:
    shown = await blobs.find_shown(sha256_of(WHOLE))
    assert shown is not None
    return shown


@pytest.mark.parametrize("length", [len(WHOLE), None])
async def test_a_shown_part_is_read_along_until_it_is_the_blob(blobs: BlobStore, length: int | None) -> None:
    async with a_shown_part(blobs, WHOLE[:5_000], length) as part:
        shown = await read_shown(blobs)
        assert (shown.length, shown.size, await shown.is_kept()) == (length, 5_000, False)
        assert await shown.read(4_000, 9_999) == WHOLE[4_000:5_000]
        await part.write(WHOLE[5_000:])
        assert shown.size == len(WHOLE)
        await part.commit()
        assert await shown.is_kept()
    assert await blobs.find_shown(sha256_of(WHOLE)) is None
    await blobs.delete(sha256_of(WHOLE))
    assert await shown.read(0, 10) == WHOLE[:10]
    await shown.close()


async def test_a_part_that_is_not_shown_is_not_found(blobs: BlobStore) -> None:
    async with a_part(blobs, WHOLE):
        assert await blobs.find_shown(sha256_of(WHOLE)) is None


@pytest.mark.parametrize("ends", ["hidden", "closed"])
async def test_a_shown_part_that_failed_is_not_found_any_more(blobs: BlobStore, ends: str) -> None:
    async with a_shown_part(blobs, WHOLE[:5_000], None) as part:
        shown = await read_shown(blobs)
        await (part.hide() if ends == "hidden" else part.close())
        assert await blobs.find_shown(sha256_of(WHOLE)) is None
        assert not await shown.is_kept()
        assert await shown.read(0, 10) == WHOLE[:10]
        await shown.close()


async def test_a_blob_of_the_same_digest_is_no_proof_of_a_shown_part(blobs: BlobStore) -> None:
    async with a_shown_part(blobs, b"wrong", None):
        shown = await read_shown(blobs)
        await keep(blobs, WHOLE)
        assert not await shown.is_kept()
        await shown.close()


async def test_a_shown_part_is_swept_like_any_other(blobs: BlobStore) -> None:
    async with a_shown_part(blobs, WHOLE, None):
        assert await blobs.sweep(datetime.now(UTC) + timedelta(days=1)) == 0
        shown = await read_shown(blobs)
        await shown.close()
    with pytest.raises(StorageTrouble):
        await shown.read(0, 1)


async def test_what_a_killed_writer_has_left_is_not_shown(blobs: BlobStore, tmp_path: Path) -> None:
    async with a_shown_part(blobs, WHOLE[:5_000], len(WHOLE)):
        (path,) = (tmp_path / "parts").iterdir()
        left = path.with_name(f"{sha256_of(WHOLE)}.{len(WHOLE)}.left")
    left.write_bytes(b"wrong")
    assert await blobs.find_shown(sha256_of(WHOLE)) is None
