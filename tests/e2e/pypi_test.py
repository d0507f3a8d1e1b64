"""The real PyPI, once; then the same without it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import PIP, Machine, sha256s
from tests.e2e.harness import ALWAYS_ASK, UNREACHABLE, Server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]

CLIENT_TIMEOUT = 400.0
WANTED = "jupyterlab"
"""About a hundred files of all kinds, some of them large."""


def machine(home: Path) -> Machine:
    home.mkdir()
    return Machine(home, CLIENT_TIMEOUT)


def download(server: Server, home: Path) -> Mapping[str, str]:
    """`pip download` by a new machine: the sha256 of each file."""
    command = [*PIP, "download", "--no-cache-dir", "--index-url", f"{server.url}simple/", "-d", "out", WANTED]
    succeed(machine(home), *command)
    return sha256s(home / "out")


def install(server: Server, home: Path) -> Mapping[str, str]:
    """`uv pip install` into a new environment, which then starts: the sha256 of each file in its site-packages."""
    client = machine(home)
    succeed(client, "uv", "venv", "--python", sys.executable, "env")
    succeed(client, "uv", "pip", "install", "--python", "env", "--default-index", f"{server.url}simple/", WANTED)
    (site_packages,) = (home / "env").glob("lib/*/site-packages")
    files = sha256s(site_packages)
    succeed(client, str(home / "env" / "bin" / "jupyter-lab"), "--version")
    # A RECORD also lists the environment's scripts, which name its path.
    return {path: sha256 for path, sha256 in files.items() if not path.endswith(".dist-info/RECORD")}


def succeed(client: Machine, *command: str) -> None:
    done = client.run(command)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def unreachable(tmp_path: Path) -> Path:
    """A config that takes PyPI away."""
    file = tmp_path / "unreachable.toml"
    file.write_text(UNREACHABLE + ALWAYS_ASK)
    return file


def test_pip_downloads_from_pypi_and_then_the_same_without_it(tmp_path: Path, unreachable: Path) -> None:
    with Server(tmp_path / "data") as server:
        online = download(server, tmp_path / "online")
        server.terminate()
    assert any(name.startswith(f"{WANTED}-") for name in online)
    with Server(tmp_path / "data", config=unreachable) as server:
        assert download(server, tmp_path / "offline") == online


def test_uv_installs_from_pypi_and_then_the_same_without_it(tmp_path: Path, unreachable: Path) -> None:
    with Server(tmp_path / "data") as server:
        online = install(server, tmp_path / "online")
        server.terminate()
    assert f"{WANTED}/__init__.py" in online
    with Server(tmp_path / "data", config=unreachable) as server:
        assert install(server, tmp_path / "offline") == online
