"""Backups in the making and data directories that are being restored: whole, or not to be taken for it."""

from __future__ import annotations

import errno
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from proxy.core.errors import StorageFull, StorageTrouble
from proxy.disk.backups import Marker, building, read_marker
from proxy.disk.lock import hold_data_dir
from proxy.disk.restoring import restoring

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
DATABASE = "pypi-sidecar.db"


def build(destination: Path, text: str = "whole") -> None:
    with building(destination, now=NOW, with_cache=True) as partial:
        (partial / "file").write_text(text)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


# Making a backup


def test_a_backup_is_there_when_it_is_whole(tmp_path: Path) -> None:
    destination = tmp_path / "backup"
    with building(destination, now=NOW, with_cache=True) as partial:
        assert partial.parent == tmp_path
        assert partial.name.startswith("backup.partial-")
        assert stat.S_IMODE(partial.stat().st_mode) == 0o700
        assert not destination.exists()
    assert names(tmp_path) == {"backup"}
    assert names(destination) == {"backup.json"}
    assert read_marker(destination) == Marker(1, NOW, with_cache=True)
    assert stat.S_IMODE((destination / "backup.json").stat().st_mode) == 0o600


def test_one_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(partial: Path) -> None:
        (partial / "file").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), building(tmp_path / "backup", now=NOW, with_cache=True) as partial:
        fail(partial)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_what_exists_is_not_replaced(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "backup")
    with pytest.raises(StorageTrouble, match="exists already"):
        build(tmp_path / "backup")
    assert names(tmp_path) == {"backup"}


def test_the_directory_that_it_is_to_lie_in_is_not_made(tmp_path: Path) -> None:
    """Where a disk is not mounted, backups must not fill another one."""
    with pytest.raises(StorageTrouble, match="there is no directory"):
        build(tmp_path / "disk" / "backup")
    assert names(tmp_path) == set()


def test_leftovers_of_killed_runs_go_and_what_is_at_work_stays(tmp_path: Path) -> None:
    left, at_work = tmp_path / f"backup.partial-{'0' * 16}", tmp_path / f"backup.partial-{'1' * 16}"
    for path in (left, at_work, tmp_path / "backup.partial-notes", tmp_path / f"other.partial-{'0' * 16}"):
        path.mkdir()
        (path / "file").touch()
    with hold_data_dir(at_work):
        build(tmp_path / "backup")
    assert names(tmp_path) == {"backup", at_work.name, "backup.partial-notes", f"other.partial-{'0' * 16}"}


def test_two_at_once_make_one(tmp_path: Path) -> None:
    with pytest.raises(StorageTrouble), building(tmp_path / "backup", now=NOW, with_cache=False):
        build(tmp_path / "backup", "first")
    assert names(tmp_path) == {"backup"}
    assert (tmp_path / "backup" / "file").read_text() == "first"


def test_a_full_disk_is_told_by_the_name_of_the_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StorageFull, match=r"/backup: nothing was kept"):
            build(tmp_path / "backup")
    assert names(tmp_path) == set()


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b'{"format": 2}'])
def test_what_has_no_marker_is_no_backup(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "backup.json").write_bytes(content)
    with pytest.raises(StorageTrouble, match="not a finished backup"):
        read_marker(tmp_path)


def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "backup.json").write_bytes(msgspec.json.encode(Marker(2, NOW, with_cache=True)))
    with pytest.raises(StorageTrouble, match="newer pypi-sidecar"):
        read_marker(tmp_path)


# Restoring


def test_the_database_is_placed_last(tmp_path: Path) -> None:
    with restoring(tmp_path / "data", DATABASE) as staged:
        assert b"did not end" in (tmp_path / "data" / DATABASE).read_bytes()
        staged.write_text("rows")
    assert (tmp_path / "data" / DATABASE).read_text() == "rows"
    assert names(tmp_path / "data") == {DATABASE, "lock"}


def test_a_mount_point_that_is_empty_will_do(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    with restoring(tmp_path, DATABASE) as staged:
        staged.touch()
    assert names(tmp_path) == {DATABASE, "lock", "lost+found"}


@pytest.mark.parametrize("name", [DATABASE, "blobs", "notes.txt"])
def test_a_directory_with_something_in_it_is_left_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(StorageTrouble, match=f"is not empty \\(it has {name}\\)"), restoring(tmp_path, DATABASE):
        pytest.fail("began")
    assert (tmp_path / name).read_text() == "precious"
    assert names(tmp_path) == {name, "lock"}


def test_one_in_use_is_refused(tmp_path: Path) -> None:
    with (
        hold_data_dir(tmp_path),
        pytest.raises(StorageTrouble, match="in use by another pypi-sidecar"),
        restoring(tmp_path, DATABASE),
    ):
        pytest.fail("began")


def test_one_that_did_not_end_is_begun_again(tmp_path: Path) -> None:
    def fail(staged: Path) -> None:
        for name in (staged.name, f"{staged.name}-wal", f"{staged.name}-shm"):
            (tmp_path / name).write_text("half")
        (tmp_path / "blobs").mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), restoring(tmp_path, DATABASE) as staged:
        fail(staged)
    assert b"did not end" in (tmp_path / DATABASE).read_bytes()
    with restoring(tmp_path, DATABASE) as staged:
        assert names(tmp_path) == {"lock", "blobs", DATABASE}
        staged.write_text("rows")
    assert (tmp_path / DATABASE).read_text() == "rows"
    with pytest.raises(StorageTrouble, match="not empty"), restoring(tmp_path, DATABASE):
        pytest.fail("began over a restored one")


def test_one_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageFull), restoring(tmp_path, DATABASE):
        pytest.fail("began")
    assert not (tmp_path / DATABASE).exists()
