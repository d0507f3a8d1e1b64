"""What the SQLite store promises beyond the port: what survives, who may open the file, and which error says what."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec import structs

from proxy.core.compress import zstd
from proxy.core.digests import sha256_of
from proxy.core.distributions import Kind
from proxy.core.errors import NameTaken, StorageFull, StorageTrouble
from proxy.core.packed import Chunk
from proxy.core.policy import LocalFacts
from proxy.ports import Use
from proxy.sqlite import cache, database, migrate
from proxy.sqlite.migrate import Migration, load_migrations, prepare
from proxy.sqlite.store import open_store
from tests.contracts.samples import DEMO, NOW, new_file, page_entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pypi-sidecar.db"


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, as any other program sees it; each statement commits."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def open_and_probe(path: Path) -> None:
    async def probe() -> None:
        async with open_store(path) as store:
            await store.probe()

    asyncio.run(probe())


def scramble(path: Path) -> None:
    """Overwrite the first page of each table and index; the schema that names them stays whole."""
    with raw(path) as connection:
        roots = connection.execute("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0").fetchall()
    with path.open("r+b") as file:
        for (root,) in roots:
            file.seek((root - 1) * 4096)
            file.write(os.urandom(4096))


class TestSurvival:
    async def test_all_is_there_after_close_and_open(self, path: Path) -> None:
        async with open_store(path) as store:
            published = await store.publish(new_file(), root=1, now=NOW)
            await store.save_page(page_entry(files=300))
        async with open_store(path) as store:
            assert await store.list_files([1], DEMO) == [published]
            assert await store.find_page("pypi", DEMO) == page_entry(files=300)
            assert (await store.find_facts(1, [], DEMO)).claimed
            with pytest.raises(NameTaken):
                await store.publish(new_file(), root=1, now=LATER)

    def test_a_kill_after_the_answer_loses_nothing(self, path: Path) -> None:
        program = """
import asyncio, os, pathlib, signal, sys
from proxy.sqlite.store import open_store
from tests.contracts.samples import NOW, new_file

async def main():
    async with open_store(pathlib.Path(sys.argv[1])) as store:
        await store.publish(new_file(), root=1, now=NOW)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
        killed = subprocess.run([sys.executable, "-c", program, path], check=False, timeout=30)
        assert killed.returncode == -signal.SIGKILL
        with raw(path) as connection:
            assert connection.execute("SELECT filename FROM files").fetchall() == [("demo-1.0-py3-none-any.whl",)]

    async def test_a_publication_waits_for_the_disk_and_a_page_does_not(self, path: Path) -> None:
        async with open_store(path) as store:
            writer = store._database._writer
            await store.publish(new_file(), root=1, now=NOW)
            assert [tuple(row) for row in await writer.execute_fetchall("PRAGMA synchronous")] == [(2,)]
            await store.save_page(page_entry())
            assert [tuple(row) for row in await writer.execute_fetchall("PRAGMA synchronous")] == [(1,)]
            await store.publish(new_file(version="2"), root=1, now=NOW)
            assert [tuple(row) for row in await writer.execute_fetchall("PRAGMA synchronous")] == [(2,)]

    async def test_ids_are_not_given_twice(self, path: Path) -> None:
        async with open_store(path) as store:
            first = await store.publish(new_file(), root=1, now=NOW)
            with raw(path) as connection:
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("DELETE FROM releases")
            assert await store.list_files([1], DEMO) == []
            assert await store.find_facts(1, [1], DEMO) == LocalFacts(claimed=True)
            again = await store.publish(new_file(), root=1, now=NOW)
        assert again.id > first.id
        assert again.release_id > first.release_id

    async def test_the_last_upload_decides_the_release_metadata(self, path: Path) -> None:
        async with open_store(path) as store:
            await store.publish(new_file(summary="first", requires_python=">=3.8"), root=1, now=NOW)
            await store.publish(new_file(kind=Kind.SDIST, summary="last"), root=1, now=LATER)
            with pytest.raises(NameTaken):
                await store.publish(new_file(summary="refused"), root=1, now=LATER)
        with raw(path) as connection:
            rows = connection.execute("SELECT summary, requires_python, created_at FROM releases").fetchall()
        assert rows == [("last", "", int(NOW.timestamp() * 1_000_000))]

    async def test_the_cache_is_as_large_after_a_restart(self, path: Path) -> None:
        async with open_store(path) as store:
            await store.record_cached(sha256_of(b"1"), 10, NOW)
            await store.record_uses({sha256_of(b"2"): Use(20, LATER)})
            await store.save_page(page_entry())
            size = await store.measure_cache()
        async with open_store(path) as store:
            assert await store.measure_cache() == size
            assert size.blobs == 30
        with raw(path) as connection:
            assert connection.execute("SELECT sum(length(detail)) FROM page_details").fetchone() == (size.pages,)

    async def test_many_pages_are_deleted_in_several_transactions(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cache, "_PAGES_AT_ONCE", 2)
        async with open_store(path) as store:
            for number in range(7):
                await store.save_page(page_entry(f"demo{number}"))
            assert await store.delete_oldest_pages(0) > 0
            assert (await store.measure_cache()).pages == 0
        with raw(path) as connection:
            assert connection.execute("SELECT count(*) FROM page_details").fetchone() == (0,)

    @pytest.mark.parametrize(
        ("sql", "steps"),
        [
            (
                cache._LEAST_USED,
                [
                    "SCAN cached_blobs USING INDEX cached_blobs_by_use",
                    "SEARCH files USING COVERING INDEX files_by_sha256 (sha256=?)",
                    "SEARCH files USING COVERING INDEX files_by_core_metadata (core_metadata=?)",
                ],
            ),
            (cache._CACHED, ["SEARCH cached_blobs USING PRIMARY KEY (sha256>? AND sha256<?)"]),
            (
                cache._PUBLISHED,
                [
                    "SEARCH files USING INDEX files_by_sha256 (sha256>? AND sha256<?)",
                    "SEARCH files USING INDEX files_by_core_metadata (core_metadata>? AND core_metadata<?)",
                ],
            ),
            (cache._DELETE_PAGES, ["SCAN pages USING INDEX pages_by_age"]),
        ],
    )
    async def test_eviction_and_sweeping_look_through_no_whole_table(
        self, path: Path, sql: str, steps: list[str]
    ) -> None:
        async with open_store(path):
            pass
        parameters = (1,) if "?" in sql else {"prefix": "ab", "limit": 1, "excess": 1}
        with raw(path) as connection:
            plan = [step[3] for step in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
        assert set(steps) <= set(plan)

    async def test_a_deleted_page_leaves_no_detail_behind(self, path: Path) -> None:
        async with open_store(path) as store:
            await store.save_page(page_entry())
            await store.delete_page("pypi", DEMO)
        with raw(path) as connection:
            assert connection.execute("SELECT count(*) FROM page_details").fetchone() == (0,)


class TestConcurrency:
    async def test_two_stores_on_one_file_see_each_others_commits(self, path: Path) -> None:
        async with open_store(path) as one, open_store(path) as other:
            published = await one.publish(new_file(), root=1, now=NOW)
            assert await other.list_files([1], DEMO) == [published]
            await other.save_page(page_entry())
            assert await one.find_page("pypi", DEMO) == page_entry()

    async def test_of_many_in_two_stores_exactly_one_wins(self, path: Path) -> None:
        async with open_store(path) as one, open_store(path) as other:
            uploads = (
                (one, other)[number % 2].publish(new_file(content=str(number)), root=1, now=NOW)
                for number in range(50)
            )
            answers = await asyncio.gather(*uploads, return_exceptions=True)
            assert sum(isinstance(answer, NameTaken) for answer in answers) == 49
            assert len(await one.list_files([1], DEMO)) == 1

    async def test_readers_do_not_wait_for_an_open_transaction(self, path: Path) -> None:
        async with open_store(path) as store:
            published = await store.publish(new_file(), root=1, now=NOW)
            async with asyncio.timeout(5), store._database.transaction() as transaction:
                await transaction.execute("DELETE FROM files")
                assert await store.list_files([1], DEMO) == [published]

    async def test_a_transaction_holds_other_writers_off_from_its_beginning(self, path: Path) -> None:
        async with open_store(path) as store:
            async with store._database.transaction() as transaction:
                await transaction.execute("SELECT count(*) FROM files")
                with raw(path) as connection:
                    connection.execute("PRAGMA busy_timeout = 0")
                    with pytest.raises(sqlite3.OperationalError, match="locked"):
                        connection.execute("DELETE FROM files")
            with raw(path) as connection:
                connection.execute("DELETE FROM files")

    async def test_more_readers_than_connections_take_turns(self, path: Path) -> None:
        async with open_store(path) as store:
            await store.publish(new_file(), root=1, now=NOW)
            found = await asyncio.gather(*(store.list_names([1]) for _ in range(database.READERS * 20)))
            assert found == [[DEMO]] * (database.READERS * 20)

    async def test_a_cancelled_reader_gives_its_connection_back(self, path: Path) -> None:
        async with open_store(path) as store:
            for _ in range(database.READERS * 3):
                reading = asyncio.create_task(store.list_names([1]))
                await asyncio.sleep(0)
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            async with asyncio.timeout(5):
                assert await store.list_names([1]) == []

    async def test_a_cancelled_transaction_is_undone(self, path: Path) -> None:
        async with open_store(path) as store:
            await store.publish(new_file(), root=1, now=NOW)
            begun = asyncio.Event()

            async def stall() -> None:
                async with store._database.transaction() as transaction:
                    await transaction.execute("DELETE FROM releases")
                    begun.set()
                    await asyncio.Event().wait()

            stalled = asyncio.create_task(stall())
            await begun.wait()
            stalled.cancel()
            await asyncio.gather(stalled, return_exceptions=True)
            await store.publish(new_file(version="2"), root=1, now=NOW)
            assert len(await store.list_files([1], DEMO)) == 2

    async def test_a_large_page_comes_back_whole(self, path: Path) -> None:
        entry = page_entry(files=1)
        many = structs.replace(entry.detail, files=(*entry.detail.files,) * 40_000)
        async with open_store(path) as store:
            await store.save_page(structs.replace(entry, detail=many))
            found = await store.find_page("pypi", DEMO)
        assert found is not None
        assert found.detail == many

    async def test_pages_that_earlier_versions_kept_are_read(self, path: Path) -> None:
        """They did not compress, and kept all files in chunks of 256."""
        encode = msgspec.msgpack.encode
        for count in (2, 600):
            entry = page_entry(files=count)
            files = entry.detail.files
            chunks = [encode(files[start : start + 256]) for start in range(0, count, 256)]
            async with open_store(path) as store:
                await store.save_page(entry)
                with raw(path) as connection:
                    kept = encode([structs.replace(entry.detail, files=()), chunks])
                    connection.execute("UPDATE page_details SET detail = ?", (kept,))
                assert await store.find_page("pypi", DEMO) == entry

    async def test_a_page_takes_less_room_than_its_files(self, path: Path) -> None:
        entry = page_entry(files=2000)
        async with open_store(path) as store:
            await store.save_page(entry)
            assert 0 < (await store.measure_cache()).pages < len(msgspec.msgpack.encode(entry.detail.files)) / 2


class TestIdentity:
    async def test_names_of_directories_need_no_escape(self, tmp_path: Path) -> None:
        odd = tmp_path / "50% #1? & ü"
        odd.mkdir()
        async with open_store(odd / "x.db") as store:
            await store.probe()
        with raw(odd / "x.db") as connection:
            assert connection.execute("SELECT count FROM probes").fetchone() == (1,)

    def test_an_empty_file_is_a_new_database(self, path: Path) -> None:
        path.touch()
        open_and_probe(path)

    def test_a_newer_format_is_refused_and_left_alone(self, path: Path) -> None:
        open_and_probe(path)
        with raw(path) as connection:
            connection.execute("PRAGMA user_version = 99")
        before = path.read_bytes()
        newest = load_migrations()[-1].format
        words = rf"was written by a newer pypi-sidecar \(format 99\); this one knows up to {newest}$"
        with pytest.raises(StorageTrouble, match=words):
            open_and_probe(path)
        assert path.read_bytes() == before

    @pytest.mark.parametrize(
        "mark", ["PRAGMA application_id = 42", "CREATE TABLE photos (id)", "PRAGMA user_version=7"]
    )
    def test_a_database_of_another_program_is_refused_and_left_alone(self, path: Path, mark: str) -> None:
        with raw(path) as connection:
            connection.execute(mark)
        before = path.read_bytes()
        with pytest.raises(StorageTrouble, match="is a database of another program"):
            open_and_probe(path)
        assert path.read_bytes() == before
        assert {entry.name for entry in path.parent.iterdir()} == {path.name}

    def test_what_is_no_database_is_refused(self, path: Path) -> None:
        path.write_bytes(b"not a database, but long enough to be read as one\n" * 100)
        with pytest.raises(StorageTrouble, match="damaged or is not a SQLite database"):
            open_and_probe(path)

    async def test_a_missing_directory_is_told(self, path: Path) -> None:
        with pytest.raises(StorageTrouble, match="cannot be opened; check that its directory exists"):
            async with open_store(path.parent / "missing" / "x.db"):
                pass

    async def test_an_old_library_is_told(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(migrate, "_OLDEST_SQLITE", (99, 0, 0))
        with pytest.raises(StorageTrouble, match=r"SQLite 99\.0\.0 or newer is needed"):
            async with open_store(path):
                pass


class TestMigrations:
    base = (Migration(1, ("CREATE TABLE one (x)", "INSERT INTO one VALUES (1)")),)

    def test_the_numbers_have_no_gap_and_begin_at_one(self) -> None:
        migrations = load_migrations()
        assert [migration.format for migration in migrations] == list(range(1, len(migrations) + 1))
        assert all(migration.statements for migration in migrations)

    def test_each_runs_once(self, path: Path) -> None:
        prepare(path, self.base)
        prepare(path, self.base)
        prepare(path, (*self.base, Migration(2, ("INSERT INTO one VALUES (2)",))))
        with raw(path) as connection:
            assert connection.execute("SELECT x FROM one").fetchall() == [(1,), (2,)]
            assert connection.execute("PRAGMA user_version").fetchone() == (2,)
            assert connection.execute("PRAGMA application_id").fetchone() == (migrate.APPLICATION_ID,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    def test_a_failure_in_the_middle_leaves_the_former_format(self, path: Path) -> None:
        prepare(path, self.base)
        broken = Migration(2, ("DELETE FROM one", "CREATE TABLE two (x)", "no statement at all"))
        with pytest.raises(StorageTrouble):
            prepare(path, (*self.base, broken))
        self.assert_untouched(path)

    def test_a_kill_in_the_middle_leaves_the_former_format(self, path: Path) -> None:
        prepare(path, self.base)
        program = """
import os, pathlib, signal, sys
from proxy.sqlite.migrate import Migration, prepare

class Fatal(tuple):
    def __iter__(self):
        yield "DELETE FROM one"
        yield "CREATE TABLE two (x)"
        os.kill(os.getpid(), signal.SIGKILL)

prepare(pathlib.Path(sys.argv[1]), (Migration(2, Fatal()),))
"""
        killed = subprocess.run([sys.executable, "-c", program, path], check=False, timeout=30)
        assert killed.returncode == -signal.SIGKILL
        self.assert_untouched(path)
        prepare(path, (*self.base, Migration(2, ("CREATE TABLE two (x)",))))

    def assert_untouched(self, path: Path) -> None:
        with raw(path) as connection:
            assert connection.execute("SELECT x FROM one").fetchall() == [(1,)]
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
            assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("one",)]

    @pytest.mark.parametrize("_", range(5))  # a race is not lost each time
    async def test_many_may_open_a_new_file_at_once(self, path: Path, _: int) -> None:
        async def probe() -> None:
            async with open_store(path) as store:
                await store.probe()

        await asyncio.gather(*(probe() for _ in range(8)))
        with raw(path) as connection:
            assert connection.execute("SELECT count FROM probes").fetchall() == [(8,)]

    def test_a_statement_may_hold_semicolons(self) -> None:
        script = (
            "-- a; comment\nCREATE TRIGGER t AFTER INSERT ON x BEGIN\n  DELETE FROM y;\nEND;\nSELECT ';\n';\nSELECT 1"
        )
        assert [statement.split()[-1] for statement in migrate._statements(script)] == ["END;", "';", "1"]


class TestTrouble:
    async def test_no_space_is_storage_full_and_passes(self, path: Path) -> None:
        async with open_store(path) as store:
            writer = store._database._writer
            [(pages,)] = await writer.execute_fetchall("PRAGMA page_count")
            await writer.execute_fetchall(f"PRAGMA max_page_count = {pages}")
            with pytest.raises(StorageFull) as full:
                await store.save_page(page_entry(files=5_000))
            assert str(path) not in full.value.message
            assert await store.find_page("pypi", DEMO) is None
            await writer.execute_fetchall("PRAGMA max_page_count = 1000000")
            await store.save_page(page_entry(files=5_000))
            await store.probe()

    async def test_a_lock_held_too_long_is_trouble(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.05)
        async with open_store(path) as store:
            with raw(path) as connection:
                connection.execute("BEGIN IMMEDIATE")
                with pytest.raises(StorageTrouble, match="is locked by another process"):
                    await store.publish(new_file(), root=1, now=NOW)
                assert await store.list_files([1], DEMO) == []
            await store.publish(new_file(), root=1, now=NOW)

    async def test_a_damaged_file_is_trouble(self, path: Path) -> None:
        async with open_store(path) as store:
            await store.save_page(page_entry(files=500))
        scramble(path)
        async with open_store(path) as store:
            with pytest.raises(StorageTrouble, match="the database is damaged; restore a backup"):
                await store.find_page("pypi", DEMO)
            with pytest.raises(StorageTrouble):
                await store.probe()

    async def test_a_page_of_another_version_is_missing_and_heals(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with open_store(path) as store:
            await store.save_page(page_entry())
            head = structs.replace(page_entry().detail, files=())
            other_files = msgspec.msgpack.encode([head, [Chunk(memoryview(b"\x91\x80"), b"12345678", hopes=False)]])
            fewer_files = msgspec.msgpack.encode([head, [Chunk(memoryview(b"\x90"), b"12345678", hopes=False)]])
            cut_off = zstd.compress(msgspec.msgpack.encode([head, []]))[:-5]
            for broken in (b"", b"\xc1", b"\x92\x80\x90", other_files, fewer_files, cut_off):
                with raw(path) as connection:
                    connection.execute("UPDATE page_details SET detail = ?", (broken,))
                assert await store.find_page("pypi", DEMO) is None
            assert "will be fetched again" in caplog.text
            await store.save_page(page_entry())
            assert await store.find_page("pypi", DEMO) == page_entry()

    async def test_a_write_that_does_not_show_fails_the_probe(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_store(path) as store, open_store(path.with_name("other.db")) as other:
            await other.probe()
            await store.probe()
            await store.probe()
            monkeypatch.setattr(store._database, "read", other._database.read)
            with pytest.raises(StorageTrouble, match="does not show what was written"):
                await store.probe()
