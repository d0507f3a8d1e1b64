from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from proxy.core.names import parse_project_name
from proxy.sqlite.store import FILENAME, open_store
from tests.builders import build_sdist, build_wheel
from tests.cli.running import run

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.core.local import LocalFile


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A directory as another index left it: nested, with a file that is no distribution and one that is broken."""
    directory = tmp_path / "export"
    (directory / "demo").mkdir(parents=True)
    for built in (build_wheel("demo", "1.0", requires_python=">=3.9"), build_sdist("demo", "1.0")):
        (directory / "demo" / built.filename).write_bytes(built.data)
    (directory / "index.html").write_text("<a>")
    return directory


def published(data_dir: Path, name: str = "demo") -> list[LocalFile]:
    async def read() -> list[LocalFile]:
        async with open_store(data_dir / FILENAME) as store:
            return list(await store.list_files((1,), parse_project_name(name)))

    return asyncio.run(read())


def test_every_distribution_is_published_and_the_rest_is_counted(export: Path, tmp_path: Path) -> None:
    result = run(tmp_path / "data", "import", str(export), "--project", "default/packages")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "2 published, 0 present, 1 skipped, 0 refused"
    wheel, sdist = sorted(published(tmp_path / "data"), key=lambda file: file.filename, reverse=True)
    assert wheel.filename.endswith(".tar.gz") or sdist.filename.endswith(".tar.gz")
    assert {file.requires_python for file in (wheel, sdist)} >= {">=3.9"}


def test_a_second_run_finds_everything_present(export: Path, tmp_path: Path) -> None:
    run(tmp_path / "data", "import", str(export), "--project", "1")
    before = published(tmp_path / "data")
    result = run(tmp_path / "data", "import", str(export), "--project", "1")
    assert result.stdout.splitlines()[0] == "0 published, 2 present, 1 skipped, 0 refused"
    assert published(tmp_path / "data") == before


def test_a_broken_distribution_is_refused_with_its_reason_and_the_others_are_published(
    export: Path, tmp_path: Path
) -> None:
    (export / "broken-1.0.tar.gz").write_bytes(b"not an archive")
    result = run(tmp_path / "data", "import", str(export), "--project", "1")
    assert result.exit_code == 1
    assert "2 published" in result.stdout
    assert "broken-1.0.tar.gz: Validation failed" in result.stdout


def test_the_report_as_json_names_each_file(export: Path, tmp_path: Path) -> None:
    result = run(tmp_path / "data", "import", str(export), "--project", "1", "--json")
    report = json.loads(result.stdout)
    assert report["published"] == 2
    assert {each["outcome"] for each in report["files"]} == {"published", "skipped"}


def test_a_project_that_the_config_has_not_is_bad_usage(export: Path, tmp_path: Path) -> None:
    result = run(tmp_path / "data", "import", str(export), "--project", "nowhere/at-all")
    assert result.exit_code == 2
    assert "default/packages" in result.stderr
    assert not (tmp_path / "data").exists()
