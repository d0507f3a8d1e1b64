"""A kill at every step of `backup` and `restore`: what is there then is whole, or not to be taken for it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_sdist
from tests.cli.running import run

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY = pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
"""How many steps lie between two kills."""
MORTAL = Path(__file__).with_name("mortal.py")
SDIST = build_sdist("demo", "1.0")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with one published file."""
    place = tmp_path_factory.mktemp("place")
    (place / "export").mkdir()
    (place / "export" / SDIST.filename).write_bytes(SDIST.data)
    assert run(place / "data", "import", str(place / "export"), "--project", "1").exit_code == 0
    return place / "data"


def killed_runs(place: Path, every: int, *words: str | Path) -> Iterator[Path]:
    """The directories that `@` stood for, of the killed runs and last of the one that ended."""
    place.mkdir()
    command = [sys.executable, MORTAL, place, str(every), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    runs = sorted(place.iterdir(), key=lambda path: int(path.name))
    assert (len(runs) - 1) * every > 12, "it syncs and renames at least the database, the blob and the directory"
    return iter(runs)


def check_whole(data_dir: Path) -> None:
    result = run(data_dir, "verify")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("1 intact (0 of them unreferenced)")
    (blob,) = data_dir.glob("blobs/??/*")
    assert hashlib.sha256(blob.read_bytes()).hexdigest() == SDIST.sha256


@EVERY
def test_a_backup_is_there_whole_or_not_at_all(data_dir: Path, tmp_path: Path, every: int) -> None:
    for place in killed_runs(tmp_path / "runs", every, "backup", "@/backup", "--data-dir", data_dir):
        if not (place / "backup").exists():
            assert run(data_dir, "backup", str(place / "backup")).exit_code == 0
        assert [path.name for path in place.iterdir()] == ["backup"]
        assert run(place / "new", "restore", str(place / "backup")).exit_code == 0
        check_whole(place / "new")
    check_whole(data_dir)


@EVERY
def test_nothing_starts_on_a_directory_that_is_half_restored(data_dir: Path, tmp_path: Path, every: int) -> None:
    assert run(data_dir, "backup", str(tmp_path / "backup")).exit_code == 0
    refused = []
    for place in killed_runs(tmp_path / "runs", every, "restore", tmp_path / "backup", "--data-dir", "@/new"):
        verified = run(place / "new", "verify")
        if verified.exit_code:
            refused.append(verified.stderr)
            assert run(place / "new", "restore", str(tmp_path / "backup")).exit_code == 0
        check_whole(place / "new")
    assert all("restore a backup" in each or "there is no data" in each for each in refused)
    assert len(refused) * every >= 15
