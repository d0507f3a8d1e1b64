"""`backup` and `restore` without a server."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from proxy.core.names import parse_project_name
from proxy.disk import hold_data_dir, open_blob_store
from proxy.disk.backups import building
from proxy.sqlite.backup import copy_database
from proxy.sqlite.migrate import load_migrations, prepare
from proxy.sqlite.store import FILENAME, open_store
from tests.builders import build_sdist, build_wheel
from tests.cli.running import run

if TYPE_CHECKING:
    from pathlib import Path

WHEEL, SDIST = build_wheel("demo", "1.0"), build_sdist("demo", "1.0")
PUBLISHED = {WHEEL.sha256, SDIST.sha256, hashlib.sha256(WHEEL.metadata).hexdigest()}
CACHED = hashlib.sha256(b"cached").hexdigest()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with a wheel and an sdist, a token, and a cached file."""
    export = tmp_path / "export"
    export.mkdir()
    for built in (WHEEL, SDIST):
        (export / built.filename).write_bytes(built.data)
    data_dir = tmp_path / "data"
    assert run(data_dir, "import", str(export), "--project", "1").exit_code == 0
    made = run(data_dir, "token", "create", "--name", "ci", "--scope", "api", "--access", "default=guest")
    assert made.exit_code == 0
    with closing(sqlite3.connect(data_dir / FILENAME)) as connection, connection:
        connection.execute("INSERT INTO cached_blobs VALUES (?, 6, 0, 0)", (CACHED,))
    blob(data_dir, CACHED).write_bytes(b"cached")
    return data_dir


def blob(directory: Path, sha256: str) -> Path:
    return directory / "blobs" / sha256[:2] / sha256[2:]


def digests(directory: Path) -> set[str]:
    """Of the blobs, by their bytes."""
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.glob("blobs/??/*")}


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_all_that_was_published_comes_back(data_dir: Path, tmp_path: Path) -> None:
    made = run(data_dir, "backup", str(tmp_path / "backup"))
    assert made.exit_code == 0
    size = sum(blob(data_dir, sha256).stat().st_size for sha256 in PUBLISHED)
    assert made.stdout == f"backed up 3 blobs of {size} bytes in all, 0 left out\n"
    assert made.stderr.endswith("backing up: 100%\n")
    restored = run(tmp_path / "new", "restore", str(tmp_path / "backup"))
    assert restored.exit_code == 0
    assert restored.stdout == f"restored 3 blobs of {size} bytes in all, 0 left out\n"
    assert digests(tmp_path / "new") == PUBLISHED
    verified = run(tmp_path / "new", "verify")
    assert verified.stdout == "3 intact (0 of them unreferenced), 0 wrong\n"
    assert "ci" in run(tmp_path / "new", "token", "list").stdout
    assert "demo still has files" in run(tmp_path / "new", "release", "demo").stderr


def test_cached_files_are_copied_where_that_is_asked_for(data_dir: Path, tmp_path: Path) -> None:
    assert run(data_dir, "backup", str(tmp_path / "backup"), "--cache").exit_code == 0
    assert digests(tmp_path / "backup") == {*PUBLISHED, CACHED}
    assert run(tmp_path / "new", "restore", str(tmp_path / "backup")).exit_code == 0
    assert run(tmp_path / "new", "verify").stdout == "4 intact (0 of them unreferenced), 0 wrong\n"


def test_neither_changes_what_it_reads(data_dir: Path, tmp_path: Path) -> None:
    before = digests(data_dir)
    run(data_dir, "backup", str(tmp_path / "backup"))
    assert digests(data_dir) == before
    assert run(data_dir, "verify").exit_code == 0
    backup = files(tmp_path / "backup")
    run(tmp_path / "new", "restore", str(tmp_path / "backup"))
    assert files(tmp_path / "backup") == backup


def test_a_backup_is_for_its_owner_alone(data_dir: Path, tmp_path: Path) -> None:
    """It has private code and the hashes of tokens."""
    run(data_dir, "backup", str(tmp_path / "backup"))
    run(tmp_path / "new", "restore", str(tmp_path / "backup"))
    for directory in (tmp_path / "backup", tmp_path / "new"):
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [directory, *directory.rglob("*")]}
        assert {path for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == set()


def test_what_is_left_out_is_named_and_the_rest_comes_back(data_dir: Path, tmp_path: Path) -> None:
    blob(data_dir, SDIST.sha256).write_bytes(b"rotten")
    blob(data_dir, WHEEL.sha256).unlink()
    made = run(data_dir, "backup", str(tmp_path / "backup"))
    assert made.exit_code == 1
    assert set(made.stdout.splitlines()[:-1]) == {
        f"bad-published default/packages demo/{SDIST.filename}: left out",
        f"missing-published default/packages demo/{WHEEL.filename}: left out",
    }
    assert made.stdout.endswith(f"backed up 1 blobs of {len(WHEEL.metadata)} bytes in all, 2 left out\n")
    restored = run(tmp_path / "new", "restore", str(tmp_path / "backup"), "--json")
    assert restored.exit_code == 1
    report = json.loads(restored.stdout)
    assert (report["blobs"], report["bytes"]) == (1, len(WHEEL.metadata))
    assert {finding["filename"] for finding in report["findings"]} == {SDIST.filename, WHEEL.filename}
    assert digests(tmp_path / "new") == digests(tmp_path / "backup") == {hashlib.sha256(WHEEL.metadata).hexdigest()}


def test_what_rots_in_a_backup_is_not_restored(data_dir: Path, tmp_path: Path) -> None:
    run(data_dir, "backup", str(tmp_path / "backup"))
    blob(tmp_path / "backup", SDIST.sha256).write_bytes(b"rotten")
    restored = run(tmp_path / "new", "restore", str(tmp_path / "backup"))
    assert restored.exit_code == 1
    assert f"bad-published default/packages demo/{SDIST.filename}: left out\n" in restored.stdout
    assert digests(tmp_path / "new") == PUBLISHED - {SDIST.sha256}


def test_a_backup_as_json(data_dir: Path, tmp_path: Path) -> None:
    made = run(data_dir, "backup", str(tmp_path / "backup"), "--json")
    size = sum(blob(data_dir, sha256).stat().st_size for sha256 in PUBLISHED)
    assert json.loads(made.stdout) == {"blobs": 3, "bytes": size, "findings": []}
    assert made.stderr == ""


def test_a_backup_of_an_older_version_is_brought_to_this_ones_format(tmp_path: Path) -> None:
    migrations = load_migrations()
    with building(tmp_path / "backup", now=datetime.now(UTC), with_cache=False) as backup:
        prepare(backup / FILENAME, migrations[:1])
    assert run(tmp_path / "new", "restore", str(tmp_path / "backup")).exit_code == 0
    with closing(sqlite3.connect(tmp_path / "new" / FILENAME)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (migrations[-1].format,)


# Refusals


def test_a_destination_that_exists_is_refused(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    made = run(data_dir, "backup", str(tmp_path / "backup"))
    assert made.exit_code == 1
    assert "exists already" in made.stderr
    assert files(tmp_path / "backup") == {}


def test_a_directory_without_data_has_no_backup(tmp_path: Path) -> None:
    made = run(tmp_path / "empty", "backup", str(tmp_path / "backup"))
    assert made.exit_code == 1
    assert "there is no data in" in made.stderr
    assert not (tmp_path / "empty").exists()
    assert not (tmp_path / "backup").exists()


def test_a_damaged_database_makes_no_backup(data_dir: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data_dir / FILENAME)) as connection:
        ((root,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'files'").fetchall()
    with (data_dir / FILENAME).open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(bytes(4096))
    made = run(data_dir, "backup", str(tmp_path / "backup"))
    assert made.exit_code == 1
    assert "damaged" in made.stderr
    assert not list(tmp_path.glob("backup*"))


def test_a_directory_in_use_or_with_data_is_not_restored_over(data_dir: Path, tmp_path: Path) -> None:
    run(data_dir, "backup", str(tmp_path / "backup"))
    refused = run(data_dir, "restore", str(tmp_path / "backup"))
    assert refused.exit_code == 1
    assert f"{data_dir} is not empty" in refused.stderr
    with hold_data_dir(tmp_path / "held"):
        refused = run(tmp_path / "held", "restore", str(tmp_path / "backup"))
    assert refused.exit_code == 1
    assert "in use by another pypi-sidecar" in refused.stderr
    assert list(files(tmp_path / "held")) == ["lock"]


@pytest.mark.parametrize("statement", ["PRAGMA user_version = 1000", "PRAGMA application_id = 7"])
def test_a_backup_of_another_program_or_a_newer_one_changes_nothing(
    data_dir: Path, tmp_path: Path, statement: str
) -> None:
    run(data_dir, "backup", str(tmp_path / "backup"))
    with closing(sqlite3.connect(tmp_path / "backup" / FILENAME)) as connection:
        connection.execute(statement)
    refused = run(tmp_path / "new", "restore", str(tmp_path / "backup"))
    assert refused.exit_code == 1
    assert "newer pypi-sidecar" in refused.stderr or "another program" in refused.stderr
    assert not (tmp_path / "new").exists()


def test_what_is_no_backup_is_refused(data_dir: Path, tmp_path: Path) -> None:
    refused = run(tmp_path / "new", "restore", str(data_dir))
    assert refused.exit_code == 1
    assert "not a finished backup" in refused.stderr
    assert run(tmp_path / "new", "restore", str(tmp_path / "nowhere")).exit_code == 2
    assert not (tmp_path / "new").exists()


def test_nothing_starts_on_a_restore_that_failed_and_it_can_be_done_again(data_dir: Path, tmp_path: Path) -> None:
    run(data_dir, "backup", str(tmp_path / "backup"))
    run(data_dir, "backup", str(tmp_path / "spoilt"))
    with (tmp_path / "spoilt" / FILENAME).open("r+b") as file:
        file.seek(4096)
        file.write(bytes(40 * 4096))
    failed = run(tmp_path / "new", "restore", str(tmp_path / "spoilt"))
    assert failed.exit_code == 1
    assert "damaged" in failed.stderr
    for words in (["verify"], ["token", "list"], ["import", str(data_dir), "--project", "1"]):
        refused = run(tmp_path / "new", *words)
        assert refused.exit_code == 1
        assert "restore a backup" in refused.stderr
    assert run(tmp_path / "new", "restore", str(tmp_path / "backup")).exit_code == 0
    assert run(tmp_path / "new", "verify").exit_code == 0


# Beside others


def test_nothing_leaves_the_store_while_a_backup_is_made(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are copied first: what they name is there when its turn comes, although it was deleted meanwhile."""
    seen: list[object] = []

    async def delete_and_sweep() -> None:
        async with open_blob_store(data_dir) as blobs, open_store(data_dir / FILENAME) as store:
            (file, *_) = await store.list_files([1], parse_project_name("demo"))
            seen.append(await store.delete_files([file.id], root=1))
            seen.append(await blobs.delete(file.digests.sha256))

    def copy_then_let_others(source: Path, target: Path) -> None:
        copy_database(source, target)
        asyncio.run(delete_and_sweep())

    monkeypatch.setattr("proxy.compose.copy_database", copy_then_let_others)
    made = run(data_dir, "backup", str(tmp_path / "backup"))
    assert made.exit_code == 0, made.stderr
    assert seen == [1, False]
    assert digests(tmp_path / "backup") == PUBLISHED
