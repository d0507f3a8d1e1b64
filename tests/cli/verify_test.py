from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from proxy.cli import main
from tests.builders import build_sdist, build_wheel
from tests.cli.running import run

if TYPE_CHECKING:
    from pathlib import Path

WHEEL, SDIST = build_wheel("demo", "1.0"), build_sdist("demo", "1.0")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with a wheel, its metadata and an sdist."""
    export = tmp_path / "export"
    export.mkdir()
    for built in (WHEEL, SDIST):
        (export / built.filename).write_bytes(built.data)
    assert run(tmp_path / "data", "import", str(export), "--project", "1").exit_code == 0
    return tmp_path / "data"


def blob(data_dir: Path, sha256: str) -> Path:
    return data_dir / "blobs" / sha256[:2] / sha256[2:]


def add_blob(data_dir: Path, name: bytes, content: bytes) -> Path:
    path = blob(data_dir, hashlib.sha256(name).hexdigest())
    path.write_bytes(content)
    return path


def test_all_is_well(data_dir: Path) -> None:
    result = run(data_dir, "verify")
    assert result.exit_code == 0
    assert result.stdout == "3 intact (0 of them unreferenced), 0 wrong\n"
    assert "verifying: 50%" in result.stderr
    assert result.stderr.endswith("verifying: 100%\n")


def test_what_nobody_names_is_counted_and_no_fault(data_dir: Path) -> None:
    add_blob(data_dir, b"left", b"left")
    result = run(data_dir, "verify", "--repair")
    assert result.exit_code == 0
    assert result.stdout == "4 intact (1 of them unreferenced), 0 wrong\n"


def test_a_bad_published_file_is_named_and_stays_until_it_is_to_be_repaired(data_dir: Path) -> None:
    blob(data_dir, SDIST.sha256).write_bytes(b"rotten")
    for _ in range(2):
        result = run(data_dir, "verify")
        assert result.exit_code == 1
        wrong, summary = result.stdout.splitlines()
        assert wrong.startswith(f"bad-published default/packages demo/{SDIST.filename}: run `verify --repair`")
        assert summary == "2 intact (0 of them unreferenced), 1 wrong"
    assert blob(data_dir, SDIST.sha256).exists()


def test_a_repair_says_what_is_left_to_do(data_dir: Path) -> None:
    blob(data_dir, SDIST.sha256).write_bytes(b"rotten")
    result = run(data_dir, "verify", "--repair")
    assert result.exit_code == 1
    path = f"blobs/{SDIST.sha256[:2]}/{SDIST.sha256[2:]}"
    advice = f"copy {path} out of a backup, or `pypi-sidecar delete` the file and upload it again"
    assert f"demo/{SDIST.filename}: put aside in quarantine/; {advice}\n" in result.stdout
    assert (data_dir / "quarantine" / SDIST.sha256).read_bytes() == b"rotten"
    again = run(data_dir, "verify")
    assert again.exit_code == 1
    assert f"missing-published default/packages demo/{SDIST.filename}: {advice}\n" in again.stdout


@pytest.mark.parametrize("heal", ["backup", "upload"])
def test_the_advice_heals(data_dir: Path, heal: str) -> None:
    path = blob(data_dir, SDIST.sha256)
    path.write_bytes(b"rotten")
    run(data_dir, "verify", "--repair")
    if heal == "backup":
        path.write_bytes(SDIST.data)
    else:
        assert run(data_dir, "delete", "1", f"demo==1.0/{SDIST.filename}").exit_code == 0
        assert run(data_dir, "import", str(data_dir.parent / "export"), "--project", "1").exit_code == 0
    assert run(data_dir, "verify").stdout == "3 intact (0 of them unreferenced), 0 wrong\n"


def test_core_metadata_is_named_by_its_wheel(data_dir: Path) -> None:
    blob(data_dir, hashlib.sha256(WHEEL.metadata).hexdigest()).unlink()
    result = run(data_dir, "verify")
    assert result.exit_code == 1
    assert f"missing-published default/packages demo/{WHEEL.filename}.metadata: " in result.stdout


def test_a_bad_cached_blob_is_dropped(data_dir: Path) -> None:
    cached = add_blob(data_dir, b"cached", b"rotten")
    assert run(data_dir, "verify").exit_code == 1
    assert cached.exists()
    result = run(data_dir, "verify", "--repair")
    assert result.exit_code == 1
    digest = hashlib.sha256(b"cached").hexdigest()
    assert f"bad-cached {digest}: dropped; it is fetched again on demand\n" in result.stdout
    assert run(data_dir, "verify").exit_code == 0


def test_the_report_as_json_has_each_finding(data_dir: Path) -> None:
    cached = add_blob(data_dir, b"cached", b"rotten")
    blob(data_dir, SDIST.sha256).unlink()
    result = run(data_dir, "verify", "--repair", "--json")
    assert result.exit_code == 1
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert (report["intact"], report["unreferenced"]) == (2, 0)
    assert sorted(report["findings"], key=lambda finding: finding["fault"]) == [
        {"fault": "bad-cached", "sha256": cached.parent.name + cached.name, "repaired": True},
        {
            "fault": "missing-published",
            "sha256": SDIST.sha256,
            "project": "default/packages",
            "name": "demo",
            "filename": SDIST.filename,
            "repaired": False,
        },
    ]


def test_a_project_that_the_config_has_no_more_is_named_by_its_number(data_dir: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[groups.default]\nid = 1\n[projects."default/packages"]\nid = 2\n')
    blob(data_dir, SDIST.sha256).unlink()
    result = CliRunner().invoke(main, ["verify", "--config", str(config), "--data-dir", str(data_dir)])
    assert f"missing-published 1 demo/{SDIST.filename}: " in result.stdout


def test_a_directory_without_data_is_not_made(tmp_path: Path) -> None:
    result = run(tmp_path / "empty", "verify")
    assert result.exit_code == 1
    assert "there is no data in" in result.stderr
    assert not (tmp_path / "empty").exists()
