"""A disk that fails under the database: which error says what, what a failed transaction leaves, what goes on."""

from __future__ import annotations

import resource
import signal
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import StorageFull, StorageTrouble
from proxy.sqlite.migrate import Migration, prepare
from proxy.sqlite.store import open_store
from proxy.sqlite.trouble import storage_errors
from tests.contracts.samples import DEMO, NOW, new_file, page_entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pypi-sidecar.db"


@contextmanager
def no_file_grows_past(size: int) -> Iterator[None]:
    """What a used-up quota is to SQLite: a write that fails with an errno that it does not look at."""
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN  # as Python sets it: the write fails, nothing else
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


def told(code: int) -> StorageTrouble:
    """What an error of SQLite with this result code is raised as."""
    error = sqlite3.OperationalError("in SQLite's words, which change")
    error.sqlite_errorcode = code
    with pytest.raises(StorageTrouble) as raised, storage_errors():
        raise error
    return raised.value


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE], ids=str
)
def test_what_finds_no_room_is_storage_full(code: int) -> None:
    assert isinstance(told(code), StorageFull)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (sqlite3.SQLITE_IOERR_READ, "cannot be read or written; check the disk"),
        (sqlite3.SQLITE_IOERR_FSYNC, "cannot be read or written; check the disk"),
        (sqlite3.SQLITE_READONLY, "cannot be written; check the permissions"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "cannot be written; check the permissions"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened; check that its directory exists"),
        (sqlite3.SQLITE_CORRUPT_INDEX, "is damaged; restore a backup"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "is locked by another process"),
        (sqlite3.SQLITE_MISUSE, "failed"),
    ],
)
def test_other_trouble_is_told_by_what_can_be_done(code: int, words: str) -> None:
    trouble = told(code)
    assert not isinstance(trouble, StorageFull)
    assert words in trouble.message


async def test_a_commit_that_finds_no_room_leaves_nothing_and_the_next_one_is_made(path: Path) -> None:
    async with open_store(path) as store:
        await store.publish(new_file(), root=1, now=NOW)
        grown = path.with_name(f"{path.name}-wal").stat().st_size
        with no_file_grows_past(grown):
            with pytest.raises(StorageFull, match="quota"):
                await store.publish(new_file(version="2"), root=1, now=NOW)
            with pytest.raises(StorageFull):
                await store.probe()
            assert [file.version for file in await store.list_files([1], DEMO)] == ["1.0"]
        await store.publish(new_file(version="3"), root=1, now=NOW)
    async with open_store(path) as store:
        assert [file.version for file in await store.list_files([1], DEMO)] == ["1.0", "3"]


async def test_a_statement_that_finds_no_room_leaves_nothing_of_its_transaction(path: Path) -> None:
    async with open_store(path) as store:
        await store.publish(new_file(), root=1, now=NOW)
        with no_file_grows_past(path.with_name(f"{path.name}-wal").stat().st_size):
            await store._database._writer.execute_fetchall("PRAGMA cache_size = 1")  # pages spill before the commit
            with pytest.raises(StorageFull):
                await store.save_page(page_entry(files=5_000))
            assert await store.find_page("pypi", DEMO) is None
        await store.save_page(page_entry(files=5_000))
        assert await store.find_page("pypi", DEMO) == page_entry(files=5_000)
        assert [file.version for file in await store.list_files([1], DEMO)] == ["1.0"]


def test_a_migration_that_finds_no_room_leaves_the_former_format(path: Path) -> None:
    first = Migration(1, ("CREATE TABLE one (x)", "INSERT INTO one VALUES (randomblob(20000))"))
    second = Migration(2, ("CREATE TABLE two AS SELECT randomblob(500000) FROM one", "DROP TABLE one"))
    prepare(path, (first,))
    with no_file_grows_past(path.stat().st_size), pytest.raises(StorageFull):
        prepare(path, (first, second))
    assert formats_and_tables(path) == (1, ["one"])
    prepare(path, (first, second))
    assert formats_and_tables(path) == (2, ["two"])


def formats_and_tables(path: Path) -> tuple[int, list[str]]:
    with closing(sqlite3.connect(path)) as connection:
        (reached,) = connection.execute("PRAGMA user_version").fetchone()
        return reached, [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]


async def test_statements_need_no_temporary_file(path: Path) -> None:
    async with open_store(path) as store:
        for connection in (store._database._writer, *store._database._readers._queue):  # type: ignore[attr-defined]
            assert [tuple(row) for row in await connection.execute_fetchall("PRAGMA temp_store")] == [(2,)]
