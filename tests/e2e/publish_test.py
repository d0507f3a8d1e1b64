"""What twine and uv publish, pip and uv install; and from then on the name is ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.builders import build_sdist, build_wheel
from tests.e2e.clients import Machine
from tests.e2e.harness import FORWARDS_NOTHING, Server, forwards_to
from tests.e2e.wire import ask, list_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.builders import BuiltFile
    from tests.e2e.harness import Serve
    from tests.fake_index import ThreadedFakeIndex

UPLOAD_URLS = ("api/v4/projects/1/packages/pypi", "api/v4/projects/default%2Fpackages/packages/pypi/", "legacy/", "")
INDEXES = (
    "api/v4/projects/1/packages/pypi/simple/",
    "api/v4/groups/1/-/packages/pypi/simple/",
    "api/v4/groups/default/-/packages/pypi/simple",
    "simple/",
)
TAKEN = "File name has already been taken"
VERSIONS = {"acme-app": "1.2", "acme-lib": "3.0"}


class Dist(NamedTuple):
    """Distributions as a build leaves them in `dist/`."""

    wheel: Path
    sdist: Path


def save(directory: Path, *built: BuiltFile) -> list[Path]:
    directory.mkdir(exist_ok=True)
    paths = [directory / each.filename for each in built]
    for path, each in zip(paths, built, strict=True):
        path.write_bytes(each.data)
    return paths


@pytest.fixture
def dist(tmp_path: Path) -> Dist:
    return Dist(*save(tmp_path / "dist", build_wheel("Acme.Tool", "1.0"), build_sdist("acme_tool", "1.0")))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with VERSIONS in it: an app by twine, the library that it needs by uv."""
    path = tmp_path_factory.mktemp("published")
    (path / "home").mkdir()
    machine = Machine(path / "home")
    app = save(
        path / "dist", build_wheel("acme-app", "1.2", requires_dist=["Acme_Lib"]), build_sdist("acme-app", "1.2")
    )
    lib = save(path / "dist", build_wheel("acme-lib", "3.0", requires_python=">=3.11"))
    (path / "config.toml").write_text(FORWARDS_NOTHING)
    with Server(path / "data", config=path / "config.toml") as server:
        assert machine.twine_upload(f"{server.url}api/v4/projects/1/packages/pypi", *app).returncode == 0
        assert machine.uv_publish(f"{server.url}legacy/", *lib).returncode == 0
        yield server


@pytest.mark.parametrize("url", UPLOAD_URLS)
def test_twine_uploads(serve: Serve, machine: Machine, dist: Dist, url: str) -> None:
    server = serve()
    done = machine.twine_upload(server.url + url, *dist)
    assert done.returncode == 0, done.stdout
    assert {file.filename for file in list_files(f"{server.url}simple/acme-tool/")} == {path.name for path in dist}


@pytest.mark.parametrize("url", UPLOAD_URLS)
def test_uv_publishes(serve: Serve, machine: Machine, dist: Dist, url: str) -> None:
    server = serve()
    done = machine.uv_publish(server.url + url, *dist)
    assert done.returncode == 0, done.stderr
    assert {file.filename for file in list_files(f"{server.url}simple/acme-tool/")} == {path.name for path in dist}


@pytest.mark.parametrize("index", INDEXES)
def test_pip_installs_what_was_published(published: Server, machine: Machine, tmp_path: Path, index: str) -> None:
    assert machine.pip_install(published.url + index, tmp_path / "target", "acme-app") == VERSIONS


@pytest.mark.parametrize("index", INDEXES)
def test_uv_installs_what_was_published(published: Server, machine: Machine, tmp_path: Path, index: str) -> None:
    assert machine.uv_install(published.url + index, tmp_path / "target", "acme-app") == VERSIONS


def test_twine_says_why_a_file_cannot_be_published_twice(serve: Serve, machine: Machine, dist: Dist) -> None:
    url = f"{serve().url}api/v4/projects/1/packages/pypi"
    assert machine.twine_upload(url, dist.wheel).returncode == 0
    again = machine.twine_upload(url, dist.wheel)
    assert again.returncode != 0
    assert TAKEN in " ".join((again.stdout + again.stderr).split())


def test_uv_says_why_a_file_cannot_be_published_twice(serve: Serve, machine: Machine, dist: Dist) -> None:
    url = f"{serve().url}legacy/"
    assert machine.uv_publish(url, dist.wheel).returncode == 0
    again = machine.uv_publish(url, dist.wheel)
    assert again.returncode != 0
    assert TAKEN in " ".join(again.stderr.split())


def test_uv_skips_what_is_published_already_where_it_may_look(serve: Serve, machine: Machine, dist: Dist) -> None:
    server = serve()
    url, check_url = f"{server.url}legacy/", f"{server.url}simple/"
    assert machine.uv_publish(url, dist.wheel, check_url=check_url).returncode == 0
    again = machine.uv_publish(url, dist.wheel, check_url=check_url)
    assert again.returncode == 0, again.stderr
    assert "already exists, skipping" in again.stderr


def test_other_bytes_under_a_published_name_change_nothing(
    serve: Serve, machine: Machine, dist: Dist, tmp_path: Path
) -> None:
    server = serve()
    machine.twine_upload(f"{server.url}legacy/", dist.wheel)
    before = list_files(f"{server.url}simple/acme-tool/")
    (other,) = save(tmp_path / "other", build_wheel("Acme.Tool", "1.0", size_padding=100))
    assert machine.twine_upload(f"{server.url}legacy/", other).returncode != 0
    assert list_files(f"{server.url}simple/acme-tool/") == before


def test_a_published_name_is_never_asked_of_the_upstream_again(
    serve: Serve, upstream: ThreadedFakeIndex, new_machine: Callable[[], Machine], dist: Dist, tmp_path: Path
) -> None:
    public = upstream.add_wheel("acme-tool", "99.0")
    server = serve(forwards_to(upstream))
    index = f"{server.url}simple/"
    assert new_machine().pip_install(index, tmp_path / "before", "acme-tool") == {"acme-tool": "99.0"}
    (listed,) = list_files(f"{index}acme-tool/")

    assert new_machine().twine_upload(f"{server.url}legacy/", *dist).returncode == 0
    upstream.clear_requests()
    assert new_machine().pip_install(index, tmp_path / "pip", "acme-tool") == {"Acme.Tool": "1.0"}
    assert new_machine().uv_install(index, tmp_path / "uv", "acme-tool") == {"Acme.Tool": "1.0"}
    assert public.sha256 not in {file.sha256 for file in list_files(f"{index}acme-tool/")}
    for suffix in ("", ".metadata"):
        assert ask("GET", listed.url + suffix).status == 404
    assert upstream.requests == []


def test_a_published_name_stays_ours_after_a_restart(
    serve: Serve, upstream: ThreadedFakeIndex, machine: Machine, dist: Dist, tmp_path: Path
) -> None:
    upstream.add_wheel("acme-tool", "99.0")
    first = serve(forwards_to(upstream))
    assert machine.uv_publish(f"{first.url}legacy/", *dist).returncode == 0
    first.terminate()
    second = serve(forwards_to(upstream))
    assert machine.uv_install(f"{second.url}simple/", tmp_path / "target", "acme-tool") == {"Acme.Tool": "1.0"}
    assert upstream.requests == []


def test_a_published_library_may_need_public_ones(
    serve: Serve, upstream: ThreadedFakeIndex, machine: Machine, tmp_path: Path
) -> None:
    upstream.add_wheel("six", "1.16.0")
    server = serve(forwards_to(upstream))
    files = save(tmp_path / "dist", build_wheel("acme-lib", "1.0", requires_dist=["six"]))
    assert machine.uv_publish(f"{server.url}legacy/", *files).returncode == 0
    wanted = {"acme-lib": "1.0", "six": "1.16.0"}
    assert machine.pip_install(f"{server.url}simple/", tmp_path / "pip", "acme-lib") == wanted
    assert machine.uv_install(f"{server.url}simple/", tmp_path / "uv", "acme-lib") == wanted
