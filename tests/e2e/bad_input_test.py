"""What the command line, the config and the machine can get wrong: told in words, with the right exit status."""

from __future__ import annotations

import json
import socket
import tomllib
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness import run_program

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.harness import Serve

FAULTY = """
[server]
port = "8181"
hosst = "127.0.0.1"
[cache]
max_size = "much"
[groups."acme"]
id = 1
[projects."acme/tools"]
id = 1
[projects."acme/more"]
id = 1
[[tokens]]
name = "ci"
scopes = ["read_package_registry", "everything"]
sha256 = "not a digest"
"""
FAULTY_KEYS = [
    "server.port:",
    "server.hosst:",
    "cache.max_size:",
    'projects."acme/more".id:',
    "tokens[0].scopes[1]:",
    "tokens[0].sha256:",
]
SECRET = "a1" * 32
TOKEN = f"""
[[tokens]]
name = "ci"
sha256 = "{SECRET}"
scopes = ["write_package_registry"]
access = {{"default/packages" = "developer"}}
"""


def check_refused(done: subprocess.CompletedProcess[str], status: int) -> None:
    """It ended with this status and words for a person, and never claimed to listen."""
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def write(directory: Path, config: str) -> Path:
    file = directory / "given.toml"
    file.write_text(config)
    return file


@pytest.fixture
def taken_port() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("command", ["serve", "check"])
def test_every_fault_of_a_config_is_told_at_once_with_its_key(tmp_path: Path, command: str) -> None:
    done = run_program(command, "--config", write(tmp_path, FAULTY), cwd=tmp_path)
    check_refused(done, 2)
    lines = done.stderr.splitlines()
    for key in FAULTY_KEYS:
        assert [line for line in lines if line.startswith(key)], f"{key} is not in\n{done.stderr}"
    assert len(lines) == len(FAULTY_KEYS), done.stderr


@pytest.mark.parametrize("config", ["[server", "[server]\nport = 1\nport = 2\n"], ids=["cut", "repeated"])
def test_what_is_not_toml_is_told_with_its_line(tmp_path: Path, config: str) -> None:
    done = run_program("serve", "--config", write(tmp_path, config), cwd=tmp_path)
    check_refused(done, 2)
    assert "given.toml" in done.stderr
    assert "line" in done.stderr


def test_a_config_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run_program("serve", "--config", tmp_path / "nowhere.toml", cwd=tmp_path)
    check_refused(done, 2)
    assert "nowhere.toml" in done.stderr


@pytest.mark.parametrize("args", [["serve", "--port", "many"], ["serve", "--no-such-option"], ["no-such-command"]])
def test_bad_usage_is_2(tmp_path: Path, args: list[str]) -> None:
    done = run_program(*args, cwd=tmp_path)
    check_refused(done, 2)
    assert args[-1] in done.stderr


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_no_machine_has_is_2(tmp_path: Path, port: str) -> None:
    done = run_program("serve", "--port", port, "--data-dir", tmp_path / "data", cwd=tmp_path)
    check_refused(done, 2)
    assert port in done.stderr


def test_a_port_in_use_is_told(tmp_path: Path, taken_port: int) -> None:
    done = run_program("serve", "--port", str(taken_port), "--data-dir", tmp_path / "data", cwd=tmp_path)
    check_refused(done, 1)
    assert f"127.0.0.1:{taken_port}" in done.stderr
    assert "in use" in done.stderr


def test_a_data_directory_in_use_is_told(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    done = run_program("serve", "--port", "0", "--data-dir", server.data_dir, cwd=tmp_path)
    check_refused(done, 1)
    assert str(server.data_dir) in done.stderr
    assert "in use" in done.stderr
    server.terminate()


@pytest.mark.parametrize("below", ["", "data"], ids=["itself", "its parent"])
def test_a_file_in_the_place_of_the_data_directory_is_told(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("not a directory")
    data_dir = tmp_path / "file" / below
    config = write(tmp_path, f'[server]\nport = 0\ndata_dir = "{data_dir}"\n')
    done = run_program("serve", "--config", config, cwd=tmp_path)
    check_refused(done, 1)
    assert str(data_dir) in done.stderr


def test_a_file_given_as_the_data_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    done = run_program("serve", "--port", "0", "--data-dir", tmp_path / "file", cwd=tmp_path)
    assert done.returncode in {1, 2}
    check_refused(done, done.returncode)
    assert str(tmp_path / "file") in done.stderr


def test_an_open_address_without_a_word_on_access_is_refused(tmp_path: Path) -> None:
    done = run_program("serve", "--host", "0.0.0.0", "--port", "0", "--data-dir", tmp_path / "data", cwd=tmp_path)
    check_refused(done, 2)
    for word in ("access.anonymous", '"none"', '"read"', "tokens"):
        assert word in done.stderr


def test_check_prints_the_effective_config(tmp_path: Path) -> None:
    written = '[server]\nmax_upload_size = "100MiB"\n[cache]\npage_ttl = "90s"\n'
    done = run_program("check", "--config", write(tmp_path, written), "--data-dir", tmp_path / "data", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    effective = tomllib.loads(done.stdout)
    assert effective["server"]["max_upload_size"] == "100MiB"
    assert effective["server"]["data_dir"] == str(tmp_path / "data")
    assert effective["cache"]["page_ttl"] == "90s"
    assert effective["cache"]["stale_if_error"] == "30d"
    assert effective["upstreams"]["pypi"]["url"] == "https://pypi.org/simple/"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_check_shows_no_secret(tmp_path: Path, options: list[str]) -> None:
    done = run_program("check", *options, "--config", write(tmp_path, TOKEN), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    effective = json.loads(done.stdout) if options else tomllib.loads(done.stdout)
    assert effective["tokens"][0]["name"] == "ci"
    assert SECRET not in done.stdout


def test_a_config_in_the_working_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[cache]\npage_ttl = "90s"\n')
    done = run_program("check", cwd=tmp_path)
    assert tomllib.loads(done.stdout)["cache"]["page_ttl"] == "90s"
