"""Tokens made by command beside a running server, in the hands of real clients; and tokens of a reloaded config."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.e2e.clients import PIP, installed
from tests.e2e.harness import FORWARDS_NOTHING, Server, eventually, run_program
from tests.e2e.wire import ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.clients import Machine

CONFIG = (
    FORWARDS_NOTHING
    + """
[groups.default]
id = 1
visibility = "private"
[projects."default/packages"]
id = 1
"""
)
CI = """
[[tokens]]
name = "of-the-config"
sha256 = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
scopes = ["api"]
access = { default = "guest" }
"""
"""Its secret is `secret`."""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(CONFIG)
    return file


@pytest.fixture
def server(tmp_path: Path, config: Path) -> Iterator[Server]:
    with Server(tmp_path / "data", config=config) as server:
        yield server


def token(server: Server, config: Path, *words: str) -> str:
    """What `token WORDS` prints."""
    done = run_program("token", *words, "--config", config, "--data-dir", server.data_dir, cwd=config.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def with_login(url: str, username: str, secret: str) -> str:
    return url.replace("http://", f"http://{username}:{secret}@")


def knows_secret(server: Server, *, expected: bool) -> bool:
    return (status(server, "secret") == 200) == expected


def status(server: Server, secret: str) -> int:
    return ask("GET", f"{server.url}simple/", headers={"Authorization": f"Bearer {secret}"}).status


@pytest.mark.parametrize("client", ["twine", "uv"])
@pytest.mark.standard(99)
def test_a_client_publishes_and_installs_with_a_token_that_was_just_made(
    server: Server, config: Path, machine: Machine, tmp_path: Path, client: str
) -> None:
    secret = token(server, config, "create", "--name", "ci", "--scope", "api", "--access", "default=developer")
    built = build_wheel("demo", "1.0")
    wheel = tmp_path / built.filename
    wheel.write_bytes(built.data)
    url = f"{server.url}legacy/"
    commands = {
        "twine": ["twine", "upload", "--non-interactive", "-u", "__token__", "-p", secret, "--repository-url", url],
        "uv": ["uv", "publish", "--trusted-publishing", "never", "--token", secret, "--publish-url", url],
    }
    published = machine.run([*commands[client], str(wheel)])
    assert published.returncode == 0, published.stdout + published.stderr
    target = tmp_path / "target"
    index = with_login(f"{server.url}simple/", "anybody", secret)
    if client == "uv":
        assert machine.uv_install(index, target, "demo") == {"demo": "1.0"}
    else:
        assert machine.pip_install(index, target, "demo") == {"demo": "1.0"}
    refused = machine.run(
        [*PIP, "install", "--index-url", f"{server.url}simple/", "--target", str(tmp_path / "no"), "demo"]
    )
    assert refused.returncode != 0
    assert installed(tmp_path / "no") == {}
    assert secret not in server.stderr


def test_a_revoked_token_ends_in_the_running_server(server: Server, config: Path) -> None:
    secret = token(server, config, "create", "--name", "ci", "--scope", "api", "--access", "default=guest")
    assert status(server, secret) == 200
    token(server, config, "revoke", "ci")
    eventually(lambda: status(server, secret) == 401, what="the revoked token is refused", seconds=2)


def test_a_reload_brings_and_takes_tokens_and_a_bad_one_changes_nothing(server: Server, config: Path) -> None:
    assert status(server, "secret") == 401
    for text, expected in ((CONFIG + CI, True), (CONFIG, False), (CONFIG + CI, True)):
        config.write_text(text)
        server.send(signal.SIGHUP)
        eventually(partial(knows_secret, server, expected=expected), what="the config was read again")
    config.write_text("[server]\nhots = 1\n")
    server.send(signal.SIGHUP)
    eventually(lambda: "the config stays as it was: server.hots" in server.stderr, what="the fault is told")
    assert status(server, "secret") == 200
    server.terminate()
