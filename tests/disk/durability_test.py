"""What a directory adds to the BlobStore's contract: order on the disk, errors of the system, descriptors."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.core.digests import sha256_of
from proxy.core.errors import StorageFull, StorageTrouble
from proxy.disk import DiskBlobStore, files, holds, open_blob_store, removal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from io import FileIO

    from proxy.ports import Blob, BlobStore

DEADLINE = 20
FAULTS = [
    (errno.ENOSPC, StorageFull),
    (errno.EDQUOT, StorageFull),
    (errno.EIO, StorageTrouble),
    (errno.EROFS, StorageTrouble),
]


@pytest.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[DiskBlobStore]:
    async with open_blob_store(tmp_path) as store:
        yield store


async def keep(blobs: BlobStore, data: bytes) -> Blob:
    part = await blobs.writer()
    try:
        await part.write(data)
        return await part.commit()
    finally:
        await part.close()


def failing(code: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(code, "No such luck", "/secret/path")

    return fail


def parts_in(data_dir: Path) -> list[Path]:
    return list((data_dir / "parts").iterdir())


# Layout


async def test_a_blob_lies_under_its_digest_for_its_owner_alone(blobs: DiskBlobStore, tmp_path: Path) -> None:
    blob = await keep(blobs, b"bytes")
    sha256 = sha256_of(b"bytes")
    assert blob.path == tmp_path / "blobs" / sha256[:2] / sha256[2:]
    assert stat.S_IMODE(blob.path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(directory.stat().st_mode) for directory in blob.path.parents[:2]} == {0o700}


async def test_a_directory_that_cannot_be_made_is_trouble(tmp_path: Path) -> None:
    (tmp_path / "blobs").touch()
    with pytest.raises(StorageTrouble):
        async with open_blob_store(tmp_path):
            pytest.fail("opened")


@pytest.mark.skipif(
    not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == Path("/tmp").stat().st_dev,  # noqa: S108
    reason="needs two file systems",
)
async def test_blobs_on_another_file_system_are_refused_at_once(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        (tmp_path / "blobs").symlink_to(elsewhere, target_is_directory=True)
        with pytest.raises(StorageTrouble, match="one file system"):
            async with open_blob_store(tmp_path):
                pytest.fail("opened")
        assert list(await asyncio.to_thread(Path(elsewhere).iterdir)) == []


# Durability


class Journal:
    """The inodes that were synced and the renames, in their order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, int]] = []
        self._sync, self._replace = files.sync, os.replace
        monkeypatch.setattr("proxy.disk.parts.sync", self.sync)
        monkeypatch.setattr("proxy.disk.files.sync", self.sync)
        monkeypatch.setattr(os, "replace", self.replace)

    def sync(self, fd: int) -> None:
        self._sync(fd)
        self.events.append(("synced", os.fstat(fd).st_ino))

    def replace(self, source: Path, target: Path) -> None:
        self.events.append(("renamed", source.stat().st_ino))
        self._replace(source, target)


async def test_a_commit_syncs_the_bytes_then_renames_then_syncs_the_entry(
    blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(monkeypatch)
    path = (await keep(blobs, b"bytes")).path
    file, directory = path.stat().st_ino, path.parent.stat().st_ino
    assert journal.events == [("synced", file), ("renamed", file), ("synced", directory)]


async def test_the_directories_themselves_are_synced_at_every_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        journal = Journal(monkeypatch)
        async with open_blob_store(tmp_path):
            made = {("synced", path.stat().st_ino) for path in (tmp_path, tmp_path / "blobs")}
            assert made <= set(journal.events)


async def test_each_directory_on_the_way_to_a_new_one_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(monkeypatch)
    files.make_directory(tmp_path / "a" / "b" / "c")
    parents = [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    assert journal.events == [("synced", path.stat().st_ino) for path in parents]


async def test_a_blob_that_rotted_is_healed_by_the_next_commit(blobs: DiskBlobStore) -> None:
    blob = await keep(blobs, b"good bytes")
    blob.path.write_bytes(b"rotten")
    assert await keep(blobs, b"good bytes") == blob
    assert blob.path.read_bytes() == b"good bytes"


async def test_the_same_bytes_again_make_the_blob_young(blobs: DiskBlobStore) -> None:
    blob = await keep(blobs, b"bytes")
    os.utime(blob.path, (0, 0))
    await keep(blobs, b"bytes")
    assert blob.path.stat().st_mtime > 0


async def test_reads_do_not_wait_for_a_slow_sync(blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    syncing, go_on = threading.Event(), threading.Event()

    def slow_sync(_: int) -> None:
        syncing.set()
        assert go_on.wait(DEADLINE)

    monkeypatch.setattr("proxy.disk.parts.sync", slow_sync)
    part = await blobs.writer()
    await part.write(b"bytes")
    committing = asyncio.create_task(part.commit())
    try:
        assert await asyncio.to_thread(syncing.wait, DEADLINE)
        assert await asyncio.wait_for(part.read(0, 10), DEADLINE) == b"bytes"
        assert not committing.done()
    finally:
        go_on.set()
    await committing
    await part.close()


async def test_a_close_waits_for_the_commit_that_a_cancelled_caller_left_at_work(
    blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncing, go_on = threading.Event(), threading.Event()

    def slow_sync(fd: int) -> None:
        syncing.set()
        assert go_on.wait(DEADLINE)
        os.fsync(fd)

    monkeypatch.setattr("proxy.disk.parts.sync", slow_sync)
    part = await blobs.writer()
    await part.write(b"bytes")
    committing = asyncio.create_task(part.commit())
    assert await asyncio.to_thread(syncing.wait, DEADLINE)
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    closing = asyncio.create_task(part.close())
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait_for(closing, DEADLINE)
    assert await blobs.read(sha256_of(b"bytes"), limit=10) == b"bytes"


# Errors of the system


@pytest.mark.parametrize(("code", "kind"), FAULTS)
@pytest.mark.parametrize("call", ["open", "write"])
async def test_a_write_that_fails_ends_the_part(
    blobs: DiskBlobStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    code: int,
    kind: type[StorageTrouble],
) -> None:
    part = await blobs.writer()
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(code))
        with pytest.raises(StorageTrouble) as caught:
            await part.write(b"bytes")
    assert type(caught.value) is kind
    with pytest.raises(StorageTrouble):
        await part.commit()
    await part.close()
    assert parts_in(tmp_path) == []


@pytest.mark.parametrize(("code", "kind"), FAULTS)
@pytest.mark.parametrize("call", ["fsync", "replace"])
async def test_a_commit_that_fails_names_nothing(
    blobs: DiskBlobStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    code: int,
    kind: type[StorageTrouble],
) -> None:
    part = await blobs.writer()
    await part.write(b"bytes")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(code))
        with pytest.raises(StorageTrouble) as caught:
            await part.commit()
    assert type(caught.value) is kind
    # A second fsync may succeed although the first lost the bytes: a failed commit is final.
    with pytest.raises(StorageTrouble):
        await part.commit()
    assert await part.read(0, 10) == b"bytes"
    await part.close()
    assert parts_in(tmp_path) == []
    assert await blobs.find(sha256_of(b"bytes")) is None


async def test_a_failed_commit_spares_the_blob_that_was_there(
    blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = await keep(blobs, b"bytes")
    renamed = False

    def replace(source: Path, target: Path) -> None:
        nonlocal renamed
        source.rename(target)
        renamed = True

    def sync(_: int) -> None:
        if renamed:
            raise OSError(errno.EIO, "the directory cannot be synced")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        patch.setattr("proxy.disk.parts.sync", sync)
        with pytest.raises(StorageTrouble):
            await keep(blobs, b"bytes")
    assert renamed
    assert blob.path.read_bytes() == b"bytes"
    assert await blobs.delete(blob.sha256), "a failed commit holds nothing"


async def test_trouble_is_told_by_its_code_without_a_path(
    blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pread", failing(errno.EIO))
    with pytest.raises(StorageTrouble) as caught:
        await blobs.probe()
    assert "EIO" in caught.value.message
    assert "secret" not in caught.value.message
    assert "luck" not in caught.value.message
    assert isinstance(caught.value.__cause__, OSError)


async def test_short_writes_are_carried_on(blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    assert (await keep(blobs, b"0123456789")).path.read_bytes() == b"0123456789"


async def test_a_probe_that_fails_leaves_nothing(
    blobs: DiskBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing(errno.ENOSPC))
        with pytest.raises(StorageFull):
            await blobs.probe()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.EIO))
        with pytest.raises(StorageTrouble):
            await blobs.probe()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", lambda *_: b"something else")
        with pytest.raises(StorageTrouble, match="does not return"):
            await blobs.probe()
    assert parts_in(tmp_path) == []


# Leftovers


async def test_a_part_that_another_process_has_open_is_no_leftover(blobs: DiskBlobStore, tmp_path: Path) -> None:
    """A start sweeps every part; a command that publishes beside it has parts of its own."""
    async with open_blob_store(tmp_path) as others:
        part = await others.writer()
        await part.write(b"bytes")
        assert await blobs.sweep(datetime.now(UTC) + timedelta(hours=1)) == 0
        blob = await part.commit()
        assert not await blobs.delete(blob.sha256)
        await part.close()
    assert await blobs.delete(blob.sha256)


async def test_a_sweep_between_making_a_part_and_locking_it_makes_another(
    blobs: DiskBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[int] = []

    def create(path: Path) -> FileIO:
        file = files.create_file(path)
        if not swept:
            swept.append(removal.sweep(path.parent, datetime.now(UTC).timestamp() + 3600))
        return file

    monkeypatch.setattr(holds, "create_file", create)
    blob = await keep(blobs, b"bytes")
    assert swept == [0]
    assert blob.path.read_bytes() == b"bytes"
    assert parts_in(tmp_path) == []


async def test_a_lock_that_cannot_be_had_is_trouble_and_leaves_nothing(
    blobs: DiskBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = await blobs.writer()
    with monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", failing(errno.ENOLCK))
        with pytest.raises(StorageTrouble, match="ENOLCK"):
            await part.write(b"bytes")
        with pytest.raises(StorageTrouble, match="ENOLCK"):
            await blobs.list_held()
    await part.close()
    assert parts_in(tmp_path) == []


async def test_names_that_are_no_digests_are_not_listed(blobs: DiskBlobStore, tmp_path: Path) -> None:
    blob = await keep(blobs, b"bytes")
    prefix = blob.sha256[:2]
    (tmp_path / "blobs" / prefix / "notes.txt").touch()
    assert [facts.sha256 for facts in await blobs.list_blobs(prefix)] == [blob.sha256]


async def test_what_was_put_aside_lies_where_a_person_finds_it(blobs: DiskBlobStore, tmp_path: Path) -> None:
    blob = await keep(blobs, b"bytes")
    blob.path.write_bytes(b"rotten")
    assert await blobs.quarantine(blob.sha256)
    assert (tmp_path / "quarantine" / blob.sha256).read_bytes() == b"rotten"
    assert stat.S_IMODE((tmp_path / "quarantine").stat().st_mode) == 0o700


async def test_sweep_goes_by_the_age_of_each_part(blobs: DiskBlobStore, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    for name, age in [("old", 25), ("young", 23)]:
        (tmp_path / "parts" / name).write_bytes(b"left")
        written = (now - timedelta(hours=age)).timestamp()
        os.utime(tmp_path / "parts" / name, (written, written))
    assert await blobs.sweep(now - timedelta(hours=24)) == 4
    assert parts_in(tmp_path) == [tmp_path / "parts" / "young"]


async def test_a_part_dropped_unclosed_is_complained_of(tmp_path: Path) -> None:
    async with open_blob_store(tmp_path) as blobs:
        dropped = [await blobs.writer()]
        await dropped[0].write(b"bytes")
    # The store's threads have ended: none of them holds the part for a moment longer.
    with pytest.warns(ResourceWarning, match="unclosed file"):
        dropped.clear()


async def test_closing_frees_every_descriptor(blobs: DiskBlobStore) -> None:
    def descriptors() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    await keep(blobs, b"the first starts a thread")
    before = descriptors()
    for number in range(20):
        part = await blobs.writer()
        await part.write(b"%d" % number)
        with part.reader():
            await part.read(0, 1)
        if number % 2:
            await part.commit()
        await part.close()
    assert descriptors() <= before
