"""`delete` and `release`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_sdist, build_wheel
from tests.cli.import_test import published
from tests.cli.running import run

if TYPE_CHECKING:
    from pathlib import Path

WHEEL, SDIST, NEXT = build_wheel("demo", "1.0"), build_sdist("demo", "1.0"), build_wheel("demo", "2.0")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with a version of two files and one of a single file."""
    export = tmp_path / "export"
    export.mkdir()
    for built in (WHEEL, SDIST, NEXT):
        (export / built.filename).write_bytes(built.data)
    run(tmp_path / "data", "import", str(export), "--project", "1")
    return tmp_path / "data"


def filenames(data_dir: Path) -> set[str]:
    return {file.filename for file in published(data_dir)}


def test_a_version_is_deleted_in_any_spelling_with_all_its_files(data_dir: Path) -> None:
    result = run(data_dir, "delete", "default/packages", "Demo==1")
    assert result.exit_code == 0
    assert set(result.stdout.splitlines()) == {f"deleted {WHEEL.filename}", f"deleted {SDIST.filename}"}
    assert filenames(data_dir) == {NEXT.filename}


def test_one_file_is_deleted_alone(data_dir: Path) -> None:
    result = run(data_dir, "delete", "1", f"demo==1.0/{SDIST.filename}", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"deleted": [SDIST.filename]}
    assert filenames(data_dir) == {WHEEL.filename, NEXT.filename}


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ("demo==3.0", "has no demo 3.0"),
        ("other==1.0", "has no other 1.0"),
        (f"demo==2.0/{WHEEL.filename}", f"has no {WHEEL.filename}"),
    ],
)
def test_what_is_not_there_cannot_be_deleted(data_dir: Path, files: str, missing: str) -> None:
    result = run(data_dir, "delete", "1", files)
    assert result.exit_code == 1
    assert missing in result.stderr
    assert len(filenames(data_dir)) == 3


@pytest.mark.parametrize(
    "files", ["demo", "demo==", "demo==x y", "demo/demo-1.0.zip", "demo==1.0/", "demo==1.0/a/b.c"]
)
def test_what_names_no_files_is_bad_usage(data_dir: Path, files: str) -> None:
    assert run(data_dir, "delete", "1", files).exit_code == 2
    assert len(filenames(data_dir)) == 3


def test_an_unknown_project_is_bad_usage(data_dir: Path) -> None:
    result = run(data_dir, "delete", "nobody/nothing", "demo==1.0")
    assert result.exit_code == 2
    assert "it has default/packages" in result.stderr


def test_a_name_is_released_once_when_its_last_file_is_gone(data_dir: Path) -> None:
    held = run(data_dir, "release", "Demo")
    assert held.exit_code == 1
    assert "demo still has files in default/packages; delete them first" in held.stderr
    for version in ("1.0", "2.0"):
        assert run(data_dir, "delete", "1", f"demo=={version}").exit_code == 0
    released = run(data_dir, "release", "Demo", "--group", "default")
    assert released.exit_code == 0
    assert released.stdout == "demo is no longer held by default\n"
    again = run(data_dir, "release", "demo")
    assert again.exit_code == 1
    assert "demo was never published in default, or was released before" in again.stderr


def test_a_release_is_reported_as_json(data_dir: Path) -> None:
    for version in ("1.0", "2.0"):
        run(data_dir, "delete", "1", f"demo=={version}")
    result = run(data_dir, "release", "demo", "--json")
    assert json.loads(result.stdout) == {"released": "demo", "group": "default"}


def test_an_unknown_group_is_bad_usage(data_dir: Path) -> None:
    result = run(data_dir, "release", "demo", "--group", "nobody")
    assert result.exit_code == 2
    assert "the config has no group 'nobody'; it has default" in result.stderr


@pytest.mark.parametrize("words", [("delete", "1", "demo==1.0"), ("release", "demo")])
def test_a_directory_without_data_is_not_made(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = run(tmp_path / "empty", *words)
    assert result.exit_code == 1
    assert "there is no data in" in result.stderr
    assert not (tmp_path / "empty").exists()
