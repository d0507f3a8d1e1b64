"""Copies of the database beside programs that write to it."""

from __future__ import annotations

import sqlite3
import stat
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import StorageTrouble
from proxy.sqlite import backup
from proxy.sqlite.backup import check_database, copy_database, seal_database
from proxy.sqlite.migrate import load_migrations
from proxy.sqlite.store import open_store
from tests.contracts.samples import DEMO, NOW, new_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pypi-sidecar.db"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy.db"


def execute(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """As any other program; the rows of the last statement."""
    rows: list[tuple[object, ...]] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
    return rows


async def test_what_an_open_store_has_committed_is_in_the_copy(path: Path, copy: Path) -> None:
    async with open_store(path) as store:
        await store.publish(new_file(), root=1, now=NOW)
        copy_database(path, copy)
        await store.publish(new_file(version="2.0"), root=1, now=NOW)
    async with open_store(copy) as copied:
        assert [file.version for file in await copied.list_files([1], DEMO)] == ["1.0"]


async def test_a_copy_is_for_its_owner_alone_and_one_file_once_sealed(path: Path, copy: Path) -> None:
    async with open_store(path) as store:
        await store.publish(new_file(), root=1, now=NOW)
    copy_database(path, copy)
    async with open_store(copy) as copied:
        await copied.forget_cached([])
        assert {stat.S_IMODE(file.stat().st_mode) for file in copy.parent.glob("copy.db*")} == {0o600}
    seal_database(copy)
    assert [file.name for file in copy.parent.glob("copy.db*")] == ["copy.db"]
    assert execute(copy, "PRAGMA journal_mode") == [("delete",)]
    assert execute(copy, "PRAGMA integrity_check") == [("ok",)]


def test_a_copy_is_of_one_moment_and_ends_however_many_write(
    path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's online backup would begin anew with each commit of another connection."""
    monkeypatch.setattr(backup, "_PAGES", 1)
    execute(
        path,
        "PRAGMA journal_mode = WAL",
        "CREATE TABLE left (id INTEGER PRIMARY KEY, filling TEXT)",
        "CREATE TABLE right (id INTEGER PRIMARY KEY, filling TEXT)",
    )
    stop = threading.Event()
    written = threading.Semaphore(0)

    def write() -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as connection:
            while not stop.is_set():
                connection.execute("BEGIN IMMEDIATE")
                for table in ("left", "right"):
                    connection.execute(f"INSERT INTO {table} (filling) VALUES (hex(zeroblob(2000)))")  # noqa: S608
                connection.execute("COMMIT")
                written.release()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(100):
            assert written.acquire(timeout=20)
        copy_database(path, copy)
        assert written.acquire(timeout=20)
    finally:
        stop.set()
        writer.join()
    [(left, right)] = execute(copy, "SELECT (SELECT count(*) FROM left), (SELECT count(*) FROM right)")
    assert left == right
    assert isinstance(left, int)
    assert left >= 100


def test_a_copy_over_something_is_refused(path: Path, copy: Path) -> None:
    execute(path, "CREATE TABLE one (id)")
    copy.write_text("precious")
    with pytest.raises(StorageTrouble, match="cannot be made"):
        copy_database(path, copy)
    assert copy.read_text() == "precious"


async def test_a_damaged_database_is_not_copied_in_silence(path: Path, copy: Path) -> None:
    async with open_store(path) as store:
        await store.publish(new_file(), root=1, now=NOW)
    [(root,)] = execute(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'files'")
    assert isinstance(root, int)
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(bytes(4096))
    with pytest.raises(StorageTrouble, match="damaged"):
        copy_database(path, copy)


async def test_only_our_databases_of_formats_that_are_known_pass(path: Path, tmp_path: Path) -> None:
    async with open_store(path):
        pass
    check_database(path)
    execute(path, f"PRAGMA user_version = {load_migrations()[-1].format + 1}")
    with pytest.raises(StorageTrouble, match="newer pypi-sidecar"):
        check_database(path)
    execute(path, "PRAGMA user_version = 1", "PRAGMA application_id = 7")
    with pytest.raises(StorageTrouble, match="another program"):
        check_database(path)
    for name, content in (("absent", None), ("text", "no database")):
        if content:
            (tmp_path / name).write_text(content)
        with pytest.raises(StorageTrouble):
            check_database(tmp_path / name)
    assert not (tmp_path / "absent").exists()
