from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import StorageFull, StorageTrouble
from proxy.disk import hold_data_dir

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = """
import sys
from pathlib import Path
from proxy.disk import hold_data_dir
with hold_data_dir(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that holds `path` until its input ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    assert child.stdout.readline() == "held\n"
    return child


def test_the_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path / "new" / "data"):
        assert stat.S_IMODE((tmp_path / "new" / "data").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "new" / "data" / "lock").stat().st_mode) == 0o600


def test_a_second_server_is_told_who_holds_it(tmp_path: Path) -> None:
    with holder(tmp_path) as child:
        with (
            pytest.raises(StorageTrouble, match=rf"in use by another pypi-sidecar \(pid {child.pid}\)"),
            hold_data_dir(tmp_path),
        ):
            pytest.fail("held twice")
        child.communicate("")


def test_the_holder_need_not_be_known(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path):
        (tmp_path / "lock").write_text("")
        with pytest.raises(StorageTrouble, match=r"in use by another pypi-sidecar: stop it"), hold_data_dir(tmp_path):
            pytest.fail("held twice")


def test_it_is_free_again_after_the_block(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("the longer words of somebody before")
    for _ in range(2):
        with hold_data_dir(tmp_path):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_it_is_free_again_after_an_error_in_the_block(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="from the block"), hold_data_dir(tmp_path):
        raise OSError("from the block")
    with hold_data_dir(tmp_path):
        pass


def test_the_file_of_a_killed_server_does_not_matter(tmp_path: Path) -> None:
    with holder(tmp_path) as child:
        child.send_signal(signal.SIGKILL)
    assert (tmp_path / "lock").exists()
    with hold_data_dir(tmp_path):
        pass


@pytest.mark.parametrize("below", ["", "data"])
def test_a_file_is_no_data_directory(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageTrouble, match=r"is not a directory: .*--data-dir"),
        hold_data_dir(tmp_path / "file" / below),
    ):
        pytest.fail("held")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (PermissionError(13, "x"), StorageTrouble, "cannot be written: make it this user's own"),
        (OSError(30, "x"), StorageTrouble, "cannot be written"),
        (OSError(28, "x"), StorageFull, "no space left"),
        (OSError(5, "x"), StorageTrouble, r"cannot be used \(EIO\)"),
    ],
)
def test_a_directory_that_cannot_be_had_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, kind: type[StorageTrouble], words: str
) -> None:
    def refuse(*_: object) -> int:
        raise error

    monkeypatch.setattr("proxy.disk.lock.make_directory", refuse)
    with pytest.raises(kind, match=f"{words}.*--data-dir"), hold_data_dir(tmp_path):
        pytest.fail("held")


def test_a_full_disk_does_not_keep_the_server_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "x")

    monkeypatch.setattr(os, "pwrite", full)
    with hold_data_dir(tmp_path):
        assert (tmp_path / "lock").read_text() == ""
