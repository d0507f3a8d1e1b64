"""`gc`: the cache fits its size and leftovers are gone, while what is published stays."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from proxy.disk import open_blob_store
from proxy.sqlite.store import FILENAME, open_store
from tests.builders import build_wheel
from tests.cli.import_test import published
from tests.cli.running import run

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.ports import Blob, BlobStore

WHEEL = build_wheel("demo", "1.0")
SIZE = 1000
LONG_AGO = datetime.now(UTC) - timedelta(days=2)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with one published file, for a cache of three files."""
    export = tmp_path / "export"
    export.mkdir()
    (export / WHEEL.filename).write_bytes(WHEEL.data)
    (tmp_path / "empty.toml").write_text(f'[cache]\nmax_size = "{3 * SIZE}B"\n')
    assert run(tmp_path / "data", "import", str(export), "--project", "1").exit_code == 0
    return tmp_path / "data"


async def keep(blobs: BlobStore, data: bytes) -> Blob:
    part = await blobs.writer()
    await part.write(data)
    blob = await part.commit()
    await part.close()
    return blob


async def fill(data_dir: Path, cached: int, orphans: int = 0) -> list[Blob]:
    """Cache files of SIZE bytes, each used an hour after the other, and keep some that nobody names; all of them."""
    async with open_blob_store(data_dir) as blobs, open_store(data_dir / FILENAME) as store:
        kept = [await keep(blobs, number.to_bytes(SIZE, "big")) for number in range(cached + orphans)]
        for number, blob in enumerate(kept[:cached]):
            await store.record_cached(blob.sha256, blob.size, LONG_AGO + timedelta(hours=number))
    for blob in kept[cached:]:
        os.utime(blob.path, (LONG_AGO.timestamp(), LONG_AGO.timestamp()))
    return kept


async def counted(data_dir: Path) -> int:
    async with open_store(data_dir / FILENAME) as store:
        return (await store.measure_cache()).blobs


def there(blobs: list[Blob]) -> list[bool]:
    return [blob.path.exists() for blob in blobs]


def test_the_least_recently_used_go_until_the_rest_fits(data_dir: Path) -> None:
    kept = asyncio.run(fill(data_dir, cached=5))
    result = run(data_dir, "gc")
    assert result.exit_code == 0
    assert "evicted files: 2, 2.0 KiB" in result.stdout.splitlines()
    assert result.stdout.splitlines()[-1] == "freed 2.0 KiB"
    assert there(kept) == [False, False, True, True, True]
    assert [file.filename for file in published(data_dir)] == [WHEEL.filename]
    assert (data_dir / "blobs" / WHEEL.sha256[:2] / WHEEL.sha256[2:]).read_bytes() == WHEEL.data


def test_leftovers_go(data_dir: Path) -> None:
    kept = asyncio.run(fill(data_dir, cached=1, orphans=2))
    (data_dir / "parts" / "left").write_bytes(b"x" * 10)
    result = run(data_dir, "gc", "--json")
    assert json.loads(result.stdout) == {
        "evicted_files": 0,
        "evicted_bytes": 0,
        "page_bytes": 0,
        "leftover_files": 2,
        "leftover_bytes": 2 * SIZE,
        "part_bytes": 10,
        "forgotten_rows": 0,
        "bytes": 2 * SIZE + 10,
    }
    assert there(kept) == [True, False, False]
    assert list((data_dir / "parts").iterdir()) == []


def test_a_blob_goes_at_any_age_unless_somebody_may_yet_name_it(data_dir: Path) -> None:
    async def collect_around(blobs: BlobStore) -> tuple[Blob, Blob, str]:
        gone = await keep(blobs, b"nobody's")
        part = await blobs.writer()
        await part.write(b"somebody's")
        held = await part.commit()
        result = await asyncio.to_thread(run, data_dir, "gc", "--json")
        await part.close()
        return gone, held, result.stdout

    async def collect() -> tuple[Blob, Blob, str]:
        async with open_blob_store(data_dir) as blobs:
            return await collect_around(blobs)

    gone, held, told = asyncio.run(collect())
    assert json.loads(told)["leftover_bytes"] == len(b"nobody's")
    assert there([gone, held]) == [False, True]


def test_rows_are_forgotten_whose_files_were_removed_by_hand(data_dir: Path) -> None:
    kept = asyncio.run(fill(data_dir, cached=5))
    for blob in kept[:2]:
        blob.path.unlink()
    told = json.loads(run(data_dir, "gc", "--json").stdout)
    assert (told["forgotten_rows"], told["evicted_files"]) == (2, 0)
    assert there(kept[2:]) == [True] * 3


def test_a_second_run_frees_nothing(data_dir: Path) -> None:
    asyncio.run(fill(data_dir, cached=5, orphans=1))
    run(data_dir, "gc")
    result = run(data_dir, "gc")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "freed 0 bytes"


def test_a_directory_without_data_is_told_apart(tmp_path: Path) -> None:
    result = run(tmp_path / "empty", "gc")
    assert result.exit_code == 1
    assert "there is no data in" in result.stderr
    assert not (tmp_path / "empty").exists()


def test_it_runs_beside_a_command_that_publishes(data_dir: Path) -> None:
    """What is being written has a lock, and what was committed too until its row is in."""

    async def publishing() -> None:
        async with open_blob_store(data_dir) as blobs:
            committed, writing = await blobs.writer(), await blobs.writer()
            await committed.write(b"committed")
            blob = await committed.commit()
            os.utime(blob.path, (0, 0))
            await writing.write(b"writing")
            told = json.loads((await asyncio.to_thread(run, data_dir, "gc", "--json")).stdout)
            assert told["bytes"] == 0
            assert blob.path.exists()
            await writing.commit()
            await committed.close()
            await writing.close()

    asyncio.run(publishing())


KILLED_AT = """
import os, signal, sys
from itertools import count
from pathlib import Path
from proxy.cli import main
from proxy.disk.blobs import DiskBlobStore
from proxy.services import janitor
from proxy.sqlite.store import SqliteStore

janitor.BATCH = 2
steps = count(1)

def mortal(method):
    async def wrapped(*args, **kwargs):
        if next(steps) == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        return await method(*args, **kwargs)
    return wrapped

DiskBlobStore.delete = mortal(DiskBlobStore.delete)
SqliteStore.forget_cached = mortal(SqliteStore.forget_cached)
main(["gc", "--config", sys.argv[2], "--data-dir", sys.argv[3]])
"""


@pytest.mark.parametrize(("step", "gone"), [(1, 0), (2, 1), (3, 2), (4, 2), (6, 4)])
def test_a_kill_at_any_step_leaves_a_cache_that_is_counted_right_afterwards(
    data_dir: Path, step: int, gone: int
) -> None:
    """Steps: two files deleted, their rows forgotten, and so on; the last kill comes before the second forgetting."""
    kept = asyncio.run(fill(data_dir, cached=7))
    config = str(data_dir.parent / "empty.toml")
    command = [sys.executable, "-c", KILLED_AT, str(step), config, str(data_dir)]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    assert there(kept).count(False) == gone
    assert run(data_dir, "gc").exit_code == 0
    assert there(kept) == [False] * 4 + [True] * 3
    assert asyncio.run(counted(data_dir)) == 3 * SIZE
    assert [file.filename for file in published(data_dir)] == [WHEEL.filename]
