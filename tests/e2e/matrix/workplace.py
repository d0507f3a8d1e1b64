"""Where a person works with one of the clients."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.e2e.clients import client_env, installed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.matrix.environments import Environments

TIMEOUT = 100.0
"""Seconds for one run of a client; the slowest takes about two on an idle machine."""

NOWHERE = "http://127.0.0.1:9"
_FOREIGN = ("CI", "FLIT_", "GITHUB_", "GITLAB_", "HATCH_", "PDM_", "POETRY_", "VIRTUAL_ENV")

Done = subprocess.CompletedProcess[str]
Settings = Mapping[str, str]
NO_SETTINGS: Settings = {}


class ClientFailed(AssertionError):
    """A client ended with another exit status than 0; the message has its words."""


@dataclass(frozen=True)
class Login:
    """A user name and a secret; both empty for who has none."""

    username: str = ""
    password: str = ""


NOBODY = Login()
STRANGER = Login("nobody", "nothing")
"""Most clients publish only with a login. One that the server does not know counts as anonymous."""


@dataclass(frozen=True)
class Workplace:
    """A home in which configuration and caches begin empty, on a machine that reaches nothing but itself."""

    home: Path
    environments: Environments

    def run(self, client: str, *args: str | Path, cwd: Path | None = None, settings: Settings = NO_SETTINGS) -> Done:
        """A client to its end, whatever the exit status; `settings` are environment variables."""
        program = self.environments.program(client)
        return subprocess.run(
            [program, *args],
            cwd=cwd or self.home,
            env=_env(self.home) | dict(settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def succeed(
        self, client: str, *args: str | Path, cwd: Path | None = None, settings: Settings = NO_SETTINGS
    ) -> Done:
        """The same; raises ClientFailed where it says that it did not."""
        done = self.run(client, *args, cwd=cwd, settings=settings)
        if done.returncode:
            raise ClientFailed(f"{client} {' '.join(map(str, args))}\n{done.stdout}{done.stderr}")
        return done


@dataclass(frozen=True)
class Project:
    """A directory with an environment, `.venv`, which every client finds by itself."""

    path: Path

    @property
    def python(self) -> Path:
        return self.path / ".venv" / "bin" / "python"

    @property
    def installed(self) -> Mapping[str, str]:
        """Versions by name."""
        (site_packages,) = self.path.glob(".venv/lib/*/site-packages")
        return installed(site_packages)


def make_project(workplace: Workplace, path: Path, files: Mapping[str, str]) -> Project:
    """A project with these files and an empty environment."""
    path.mkdir(parents=True)
    workplace.succeed("uv", "venv", "--python", sys.executable, path / ".venv")
    for name, content in files.items():
        (path / name).write_text(content)
    return Project(path)


def words(done: Done) -> str:
    """All that it said, however its lines were broken."""
    return " ".join((done.stdout + done.stderr).split())


def _env(home: Path) -> dict[str, str]:
    env = {key: value for key, value in client_env(home).items() if not key.startswith(_FOREIGN)}
    del env["UV_NO_CONFIG"]  # it would hide the index that a project's own pyproject.toml names
    proxies = {f"{scheme}_proxy": NOWHERE for scheme in ("http", "https", "all")} | {"no_proxy": "127.0.0.1"}
    return env | proxies | {name.upper(): value for name, value in proxies.items()} | {"PDM_CHECK_UPDATE": "false"}
