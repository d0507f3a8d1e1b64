from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.cli.import_test import published
from tests.cli.running import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with two versions of one project."""
    export = tmp_path / "export"
    export.mkdir()
    for version in ("1.0", "2.0"):
        built = build_wheel("demo", version)
        (export / built.filename).write_bytes(built.data)
    run(tmp_path / "data", "import", str(export), "--project", "1")
    return tmp_path / "data"


def yanked(data_dir: Path) -> dict[str, str | None]:
    return {file.version: file.yanked for file in published(data_dir)}


def test_a_yank_marks_one_version_in_any_spelling_with_its_reason(data_dir: Path) -> None:
    result = run(data_dir, "yank", "default/packages", "Demo==2", "--reason", "broken <build>")
    assert result.exit_code == 0
    assert yanked(data_dir) == {"1.0": None, "2.0": "broken <build>"}


def test_an_unyank_takes_it_back(data_dir: Path) -> None:
    run(data_dir, "yank", "1", "demo==2.0")
    assert yanked(data_dir) == {"1.0": None, "2.0": ""}
    result = run(data_dir, "unyank", "1", "demo==2.0", "--json")
    assert json.loads(result.stdout) == {"unyanked": ["demo-2.0-py3-none-any.whl"]}
    assert yanked(data_dir) == {"1.0": None, "2.0": None}


def test_what_is_not_there_cannot_be_yanked(data_dir: Path) -> None:
    result = run(data_dir, "yank", "1", "demo==3.0")
    assert result.exit_code == 1
    assert "has no demo 3.0" in result.stderr


@pytest.mark.parametrize("release", ["demo", "demo==", "demo==not a version", "==1.0", "de mo==1.0"])
def test_a_release_is_a_name_and_a_version(data_dir: Path, release: str) -> None:
    result = run(data_dir, "yank", "1", release)
    assert result.exit_code == 2
    assert "NAME==VERSION" in result.stderr


def test_a_project_without_files_takes_no_status(data_dir: Path) -> None:
    assert run(data_dir, "status", "1", "demo", "archived", "--reason", "moved").exit_code == 0
    result = run(data_dir, "status", "1", "nothing", "archived")
    assert result.exit_code == 1
    assert "has no nothing" in result.stderr


def test_a_directory_without_data_is_told_apart(tmp_path: Path) -> None:
    result = run(tmp_path / "empty", "yank", "1", "demo==1.0")
    assert result.exit_code == 1
    assert "there is no data in" in result.stderr
    assert not (tmp_path / "empty").exists()
