from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from proxy.disk import give_up_reserve, lay_in_reserve, reserve

if TYPE_CHECKING:
    from pathlib import Path


def held(data_dir: Path) -> int:
    """Bytes of the disk that the reserve takes."""
    return sum(file.stat().st_blocks * 512 for file in (data_dir / "reserve").iterdir())


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_: int, __: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(reserve, "write_all", write)


def test_it_takes_its_room_once(tmp_path: Path) -> None:
    lay_in_reserve(tmp_path)
    taken = held(tmp_path)
    assert taken >= reserve.FILES * reserve.FILE_SIZE
    lay_in_reserve(tmp_path)
    assert held(tmp_path) == taken


def test_it_is_kept_while_there_is_room(tmp_path: Path) -> None:
    lay_in_reserve(tmp_path)
    taken = held(tmp_path)
    assert not give_up_reserve(tmp_path)
    assert held(tmp_path) == taken


@pytest.mark.usefixtures("full")
def test_a_full_disk_gets_it_all(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "reserve").mkdir(exist_ok=True)
        (tmp_path / "reserve" / str(number)).write_bytes(b"room")
    assert give_up_reserve(tmp_path)
    assert held(tmp_path) == 0


@pytest.mark.usefixtures("full")
def test_a_full_disk_is_told_also_without_it(tmp_path: Path) -> None:
    assert give_up_reserve(tmp_path)
    assert give_up_reserve(tmp_path)


def test_a_trial_that_a_kill_left_is_none_of_the_next(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    lay_in_reserve(tmp_path)
    (tmp_path / "reserve" / "trial").write_bytes(bytes(1_000_000))
    request.getfixturevalue("full")
    assert give_up_reserve(tmp_path)
    assert held(tmp_path) == 0


@pytest.mark.usefixtures("full")
def test_what_finds_no_room_is_laid_in_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_in_reserve(tmp_path)
    assert held(tmp_path) == 0
    monkeypatch.undo()
    lay_in_reserve(tmp_path)
    assert held(tmp_path) >= reserve.FILES * reserve.FILE_SIZE


def test_a_part_of_it_is_completed(tmp_path: Path) -> None:
    lay_in_reserve(tmp_path)
    first = tmp_path / "reserve" / "0"
    os.truncate(first, 5)
    (tmp_path / "reserve" / "1").unlink()
    lay_in_reserve(tmp_path)
    assert {file.stat().st_size for file in (tmp_path / "reserve").iterdir()} == {reserve.FILE_SIZE}


def test_a_directory_that_takes_no_files_is_left_to_others_to_complain_of(tmp_path: Path) -> None:
    (tmp_path / "reserve").write_bytes(b"no directory")
    lay_in_reserve(tmp_path)
    assert not give_up_reserve(tmp_path)
