"""`./scripts/serve`, as somebody meets it who has just cloned the project."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness import ROOT, Server
from tests.e2e.wire import ask

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]

FIRST_START = 300.0
"""Seconds: an environment is made and the locked dependencies are fetched."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What is committed, nothing else."""
    subprocess.run(["git", "clone", "--quiet", ROOT, tmp_path / "clone"], check=True, timeout=60)
    return tmp_path / "clone"


@pytest.fixture
def env() -> Mapping[str, str]:
    """This machine's own way to the package index stays; the Python is the one that runs the tests."""
    return {**os.environ, "PYTHON": sys.executable}


def start(clone: Path, env: Mapping[str, str], data_dir: Path, patience: float) -> float:
    """Start the server, see it answer, stop it; the seconds until it listened."""
    began = time.monotonic()
    with Server(data_dir, command=[clone / "scripts" / "serve"], env=env, patience=patience) as server:
        took = time.monotonic() - began
        assert ask("GET", f"{server.url}-/readiness").status == 200
        server.terminate()
    return took


def test_a_fresh_clone_serves_with_one_command(clone: Path, env: Mapping[str, str], tmp_path: Path) -> None:
    first = start(clone, env, tmp_path / "data", FIRST_START)
    second = start(clone, env, tmp_path / "data", FIRST_START)
    print(f"the first start took {first:.1f} s, the second {second:.1f} s")  # noqa: T201 - for the reader of the report
    dirty = subprocess.run(["git", "status", "--short"], cwd=clone, capture_output=True, check=True, timeout=60)
    assert dirty.stdout == b""
