"""How each client locks what a project needs, and how it installs from that lock.

project = installer.start(workplace, path, index, "acme-app")
installer.lock(workplace, project, index)            # writes its lock file; pip installs as well
copy = installer.check_out(workplace, project, elsewhere)
installer.sync(workplace, copy, index)               # what the lock says, hashes verified
"""

from __future__ import annotations

import json
import tomllib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from tests.e2e.matrix.workplace import NOBODY, Login, make_project

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.e2e.matrix.workplace import Project, Workplace


@dataclass(frozen=True)
class Index:
    """A simple index, with a login where it wants one."""

    url: str
    login: Login = NOBODY

    @property
    def url_with_login(self) -> str:
        if self.login == NOBODY:
            return self.url
        return self.url.replace("://", f"://{self.login.username}:{self.login.password}@")


@dataclass(frozen=True)
class Installer(ABC):
    """A client and its lock file.

    `names_index`: the lock holds the index's address. `cutoff`: the option that passes over what was uploaded at a
    time or later, where the client has one.
    """

    client: str
    lock_name: str
    names_index: bool
    cutoff: str = ""

    def start(self, workplace: Workplace, path: Path, index: Index, *needs: str) -> Project:
        """A new project that needs these, set up for this index."""
        head = f'[project]\nname = "work"\nversion = "1.0"\nrequires-python = ">=3.11"\ndependencies = {list(needs)}\n'
        return make_project(workplace, path, {"pyproject.toml": head + self._tables(index)})

    def check_out(self, workplace: Workplace, project: Project, path: Path) -> Project:
        """What a colleague has of it: the files under version control, and an empty environment."""
        names = ("pyproject.toml", self.lock_name)
        return make_project(workplace, path, {name: (project.path / name).read_text() for name in names})

    def read_lock(self, project: Project) -> str:
        return (project.path / self.lock_name).read_text()

    def lock(self, workplace: Workplace, project: Project, index: Index, *, before: str = "") -> None:
        self._lock(workplace, project, index, [self.cutoff, before] if before else [])

    @abstractmethod
    def sync(self, workplace: Workplace, project: Project, index: Index) -> None: ...

    @abstractmethod
    def _lock(self, workplace: Workplace, project: Project, index: Index, options: list[str]) -> None: ...

    def _tables(self, index: Index) -> str:
        """What pyproject.toml says of the client and the index."""
        del index
        return ""


class Pip(Installer):
    """A requirements file with hashes, out of the report of an installation."""

    def sync(self, workplace: Workplace, project: Project, index: Index) -> None:
        self._run(workplace, project, index, "install", "--require-hashes", "-r", self.lock_name)

    def _lock(self, workplace: Workplace, project: Project, index: Index, options: list[str]) -> None:
        self._run(workplace, project, index, "install", "--report", "report.json", *options, *_needs(project))
        report = json.loads((project.path / "report.json").read_text())
        (project.path / self.lock_name).write_text("\n".join(map(_pinned, report["install"])))

    def _run(self, workplace: Workplace, project: Project, index: Index, *args: str) -> None:
        settings = {"PIP_INDEX_URL": index.url_with_login, "PIP_NO_INPUT": "1"}
        # Over plain http it caches only what comes from a host that it is told to trust.
        settings |= {"PIP_TRUSTED_HOST": "127.0.0.1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        workplace.succeed(self.client, "--python", project.python, *args, cwd=project.path, settings=settings)


class PipLock(Pip):
    """pylock.toml (PEP 751), which pip writes since 25.1 and installs from since 26.1."""

    def sync(self, workplace: Workplace, project: Project, index: Index) -> None:
        self._run(workplace, project, index, "install", "-r", self.lock_name)

    def _lock(self, workplace: Workplace, project: Project, index: Index, options: list[str]) -> None:
        self._run(workplace, project, index, "lock", *options, *_needs(project))


class Uv(Installer):
    """uv.lock, by uv's commands for projects."""

    def sync(self, workplace: Workplace, project: Project, index: Index) -> None:
        self._run(workplace, project, index, "sync", "--frozen")

    def _lock(self, workplace: Workplace, project: Project, index: Index, options: list[str]) -> None:
        self._run(workplace, project, index, "lock", *options)

    def _tables(self, index: Index) -> str:
        return f'[[tool.uv.index]]\nname = "sidecar"\nurl = "{index.url}"\ndefault = true\n'

    def _run(self, workplace: Workplace, project: Project, index: Index, *args: str) -> None:
        settings = {
            "UV_INDEX_SIDECAR_USERNAME": index.login.username,
            "UV_INDEX_SIDECAR_PASSWORD": index.login.password,
        }
        workplace.succeed("uv", *args, cwd=project.path, settings=settings if index.login != NOBODY else {})


class UvPip(Installer):
    """A requirements file with hashes, by uv's commands in pip's manner."""

    def sync(self, workplace: Workplace, project: Project, index: Index) -> None:
        self._run(workplace, project, index, "sync", "--require-hashes", self.lock_name)

    def _lock(self, workplace: Workplace, project: Project, index: Index, options: list[str]) -> None:
        made = ["--generate-hashes", "--output-file", self.lock_name]
        self._run(workplace, project, index, "compile", *made, *options, "pyproject.toml")

    def _run(self, workplace: Workplace, project: Project, index: Index, *args: str) -> None:
        settings = {"UV_DEFAULT_INDEX": index.url_with_login}
        workplace.succeed("uv", "pip", *args, cwd=project.path, settings=settings)


class Poetry(Installer):
    def sync(self, workplace: Workplace, project: Project, index: Index) -> None:
        self._run(workplace, project, index, "sync")

    def _lock(self, workplace: Workplace, project: Project, index: Index, options: list[str]) -> None:
        self._run(workplace, project, index, "lock", *options)

    def _tables(self, index: Index) -> str:
        source = f'[[tool.poetry.source]]\nname = "sidecar"\nurl = "{index.url}"\n'
        return f"[tool.poetry]\npackage-mode = false\n{source}"

    def _run(self, workplace: Workplace, project: Project, index: Index, *args: str) -> None:
        settings = {
            "POETRY_HTTP_BASIC_SIDECAR_USERNAME": index.login.username,
            "POETRY_HTTP_BASIC_SIDECAR_PASSWORD": index.login.password,
        }
        given = settings if index.login != NOBODY else {}
        workplace.succeed("poetry", "--no-interaction", *args, cwd=project.path, settings=given)


class Pdm(Installer):
    def sync(self, workplace: Workplace, project: Project, index: Index) -> None:
        self._run(workplace, project, index, "sync")

    def _lock(self, workplace: Workplace, project: Project, index: Index, options: list[str]) -> None:
        self._run(workplace, project, index, "lock", *options)

    def _tables(self, index: Index) -> str:
        del index
        return "[tool.pdm]\ndistribution = false\n"

    def _run(self, workplace: Workplace, project: Project, index: Index, *args: str) -> None:
        settings = {"PDM_PYPI_URL": index.url}
        if index.login != NOBODY:
            settings |= {"PDM_PYPI_USERNAME": index.login.username, "PDM_PYPI_PASSWORD": index.login.password}
        workplace.succeed("pdm", *args, cwd=project.path, settings=settings)


INSTALLERS: Mapping[str, Installer] = {
    "pip-23": Pip("pip-23", "requirements.txt", names_index=False),
    "pip-26": Pip("pip-26", "requirements.txt", names_index=False, cutoff="--uploaded-prior-to"),
    "pip-26-lock": PipLock("pip-26", "pylock.toml", names_index=True, cutoff="--uploaded-prior-to"),
    "uv": Uv("uv", "uv.lock", names_index=True, cutoff="--exclude-newer"),
    "uv-pip": UvPip("uv", "requirements.txt", names_index=False, cutoff="--exclude-newer"),
    "poetry": Poetry("poetry", "poetry.lock", names_index=True),
    "pdm": Pdm("pdm", "pdm.lock", names_index=False, cutoff="--exclude-newer"),
}


class _Installed(TypedDict):
    """An entry of pip's installation report."""

    metadata: Mapping[str, str]
    download_info: Mapping[str, Mapping[str, Mapping[str, str]]]


def _pinned(item: _Installed) -> str:
    sha256 = item["download_info"]["archive_info"]["hashes"]["sha256"]
    return f"{item['metadata']['name']}=={item['metadata']['version']} --hash=sha256:{sha256}"


def _needs(project: Project) -> list[str]:
    table = tomllib.loads((project.path / "pyproject.toml").read_text())
    return list(table["project"]["dependencies"])
