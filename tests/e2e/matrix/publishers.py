"""How each client builds, where it does, and publishes.

project = publisher.build(workplace, path, "acme-tool")      # a directory with dist/
publisher.publish(workplace, project, target)                # how it ended is for the caller to judge
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.builders import build_sdist, build_wheel
from tests.e2e.matrix.workplace import STRANGER, Done, Login

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.e2e.matrix.workplace import Workplace

NEEDS = "public-lib"
VERSION = "1.0"


@dataclass(frozen=True)
class Target:
    """Where to publish, and as whom. `index` is where that can be looked up."""

    url: str
    index: str
    login: Login = STRANGER


@dataclass(frozen=True)
class Publisher(ABC):
    """`skips`: it can be asked to pass over what is published already. `tells`: what it says of a duplicate."""

    client: str
    skips: bool
    tells: str = "File name has already been taken"

    def build(self, workplace: Workplace, path: Path, name: str) -> Path:
        """A project that needs NEEDS, as a wheel and an sdist in `dist/`."""
        del workplace
        (path / "dist").mkdir(parents=True)
        for build in (build_wheel, build_sdist):
            built = build(name, VERSION, requires_dist=[NEEDS])
            (path / "dist" / built.filename).write_bytes(built.data)
        return path

    @abstractmethod
    def publish(self, workplace: Workplace, project: Path, target: Target, *, skip_existing: bool = False) -> Done: ...


class Twine(Publisher):
    def publish(self, workplace: Workplace, project: Path, target: Target, *, skip_existing: bool = False) -> Done:
        options = ["--non-interactive", "--disable-progress-bar", *(["--skip-existing"] if skip_existing else [])]
        settings = {"TWINE_USERNAME": target.login.username, "TWINE_PASSWORD": target.login.password}
        settings |= {"TWINE_REPOSITORY_URL": target.url}
        return workplace.run(self.client, "upload", *options, *distributions(project), settings=settings)


class Uv(Publisher):
    def build(self, workplace: Workplace, path: Path, name: str) -> Path:
        _write_project(path, name, "uv_build", 'requires = ["uv_build>=0.8,<1"]', f"src/{_module(name)}/__init__.py")
        workplace.succeed("uv", "build", cwd=path)
        return path

    def publish(self, workplace: Workplace, project: Path, target: Target, *, skip_existing: bool = False) -> Done:
        settings = {"UV_PUBLISH_USERNAME": target.login.username, "UV_PUBLISH_PASSWORD": target.login.password}
        settings |= {"UV_PUBLISH_CHECK_URL": target.index} if skip_existing else {}
        settings |= {"UV_PUBLISH_URL": target.url}
        return workplace.run("uv", "publish", cwd=project, settings=settings)


class Poetry(Publisher):
    def build(self, workplace: Workplace, path: Path, name: str) -> Path:
        _write_project(path, name, "poetry.core.masonry.api", 'requires = ["poetry-core"]', f"{_module(name)}.py")
        workplace.succeed("poetry", "build", cwd=path, settings={"POETRY_VIRTUALENVS_CREATE": "false"})
        return path

    def publish(self, workplace: Workplace, project: Path, target: Target, *, skip_existing: bool = False) -> Done:
        command = ["publish", "--no-interaction", "-r", "sidecar", *(["--skip-existing"] if skip_existing else [])]
        settings = {
            "POETRY_REPOSITORIES_SIDECAR_URL": target.url,
            "POETRY_HTTP_BASIC_SIDECAR_USERNAME": target.login.username,
            "POETRY_HTTP_BASIC_SIDECAR_PASSWORD": target.login.password,
        }
        return workplace.run("poetry", *command, cwd=project, settings=settings)


class Pdm(Publisher):
    def publish(self, workplace: Workplace, project: Path, target: Target, *, skip_existing: bool = False) -> Done:
        command = ["publish", "--no-build", *(["--skip-existing"] if skip_existing else [])]
        settings = {"PDM_PUBLISH_USERNAME": target.login.username, "PDM_PUBLISH_PASSWORD": target.login.password}
        settings |= {"PDM_PUBLISH_REPO": target.url}
        return workplace.run("pdm", *command, cwd=project, settings=settings)


class Flit(Publisher):
    """It has no command for the upload alone: `build` leaves only the sources, `publish` makes `dist/`."""

    def build(self, workplace: Workplace, path: Path, name: str) -> Path:
        del workplace
        _write_project(path, name, "flit_core.buildapi", 'requires = ["flit_core"]', f"{_module(name)}.py")
        return path

    def publish(self, workplace: Workplace, project: Path, target: Target, *, skip_existing: bool = False) -> Done:
        assert not skip_existing
        settings = {"FLIT_USERNAME": target.login.username, "FLIT_PASSWORD": target.login.password}
        settings |= {"FLIT_INDEX_URL": target.url}
        return workplace.run("flit", "publish", "--no-use-vcs", cwd=project, settings=settings)


class Hatch(Publisher):
    def publish(self, workplace: Workplace, project: Path, target: Target, *, skip_existing: bool = False) -> Done:
        assert not skip_existing
        settings = {"HATCH_INDEX_USER": target.login.username, "HATCH_INDEX_AUTH": target.login.password}
        settings |= {"HATCH_INDEX_REPO": target.url}
        return workplace.run("hatch", "publish", cwd=project, settings=settings)


PUBLISHERS: Mapping[str, Publisher] = {
    "twine-6": Twine("twine-6", skips=True),
    "twine-7": Twine("twine-7", skips=False),
    "uv": Uv("uv", skips=True),
    "poetry": Poetry("poetry", skips=True),
    "pdm": Pdm("pdm", skips=True, tells="400 Bad Request"),
    "flit": Flit("flit", skips=False),
    "hatch": Hatch("hatch", skips=False),
}


def distributions(project: Path) -> list[Path]:
    """The wheel and the sdist that were built, in this order."""
    return sorted(path for path in (project / "dist").iterdir() if path.name.startswith("acme"))


def _module(name: str) -> str:
    return name.replace("-", "_")


def _write_project(path: Path, name: str, backend: str, requires: str, source: str) -> None:
    """A project of one module, `source`."""
    (path / source).parent.mkdir(parents=True)
    (path / source).write_text(f"__version__ = {VERSION!r}\n")
    (path / "pyproject.toml").write_text(
        f'[build-system]\n{requires}\nbuild-backend = "{backend}"\n'
        f'[project]\nname = "{name}"\nversion = "{VERSION}"\ndescription = "A tool"\n'
        f'requires-python = ">=3.11"\ndependencies = ["{NEEDS}"]\n'
    )
