"""What lock files record of the server's address, and what becomes of them at another one."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import pytest

from tests.e2e.harness import Server, forwards_to
from tests.e2e.matrix.installers import INSTALLERS, Index, Installer
from tests.e2e.matrix.workplace import ClientFailed, make_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.matrix.workplace import Project, Workplace
    from tests.fake_index import ThreadedFakeIndex

NEEDS = {"public-lib": "2.0", "public-timed": "2.0"}
UPSTREAM_URLS = '[groups."default"]\nid = 1\nfile_urls = "upstream"\n[projects."default/packages"]\nid = 1\n'

every_installer = pytest.mark.parametrize("installer", INSTALLERS.values(), ids=INSTALLERS)


class ServerAt(Server):
    """A server on this port; 0 is any."""

    def __init__(self, data_dir: Path, config: Path, port: int) -> None:
        super().__init__(data_dir, config=config)
        self._command[self._command.index("--port") + 1] = str(port)


class Start(Protocol):
    """Starts an instance that has nothing yet and forwards to the public index."""

    def __call__(self, *, port: int = 0, config: str = "") -> Server: ...


@pytest.fixture
def start(public: ThreadedFakeIndex, tmp_path: Path) -> Iterator[Start]:
    numbers = count()
    with ExitStack() as stack:

        def start(*, port: int = 0, config: str = "") -> Server:
            path = tmp_path / f"instance-{next(numbers)}"
            path.mkdir()
            (path / "config.toml").write_text(forwards_to(public) + config)
            return stack.enter_context(ServerAt(path / "data", path / "config.toml", port))

        yield start


def index_of(server: Server) -> Index:
    return Index(f"{server.url}simple/")


@every_installer
@pytest.mark.standard(102)
def test_two_instances_at_one_address_give_the_same_lock(
    start: Start, new_workplace: Callable[[], Workplace], tmp_path: Path, installer: Installer
) -> None:
    def locked(server: Server, path: Path) -> str:
        workplace = new_workplace()
        project = installer.start(workplace, path, index_of(server), *NEEDS)
        installer.lock(workplace, project, index_of(server))
        return installer.read_lock(project)

    first = start()
    lock = locked(first, tmp_path / "first")
    assert all(name in lock for name in NEEDS)
    assert (first.netloc in lock) is installer.names_index
    first.terminate()
    second = start(port=urlsplit(first.url).port or 0)
    assert second.url == first.url
    assert locked(second, tmp_path / "second") == lock


@pytest.mark.parametrize(
    "installer", [pytest.param(INSTALLERS[name], id=name) for name in INSTALLERS if name != "poetry"]
)
def test_a_lock_installs_from_another_instance_once_it_has_its_address(
    start: Start, new_workplace: Callable[[], Workplace], tmp_path: Path, installer: Installer
) -> None:
    first, second = start(), start()
    mine, theirs = new_workplace(), new_workplace()
    project = installer.start(mine, tmp_path / "mine", index_of(first), *NEEDS)
    installer.lock(mine, project, index_of(first))
    first.terminate()
    readdress(project, first.netloc, second.netloc)
    copy = installer.check_out(theirs, project, tmp_path / "theirs")
    installer.sync(theirs, copy, index_of(second))
    assert copy.installed == NEEDS


def test_poetry_locks_the_same_files_again_at_another_address(
    start: Start, new_workplace: Callable[[], Workplace], tmp_path: Path
) -> None:
    poetry, first, second = INSTALLERS["poetry"], start(), start()
    mine, theirs = new_workplace(), new_workplace()
    project = poetry.start(mine, tmp_path / "mine", index_of(first), *NEEDS)
    poetry.lock(mine, project, index_of(first))
    first.terminate()
    readdress(project, first.netloc, second.netloc)
    copy = poetry.check_out(theirs, project, tmp_path / "theirs")
    with pytest.raises(ClientFailed, match=r"pyproject\.toml changed significantly"):
        poetry.sync(theirs, copy, index_of(second))
    poetry.lock(theirs, copy, index_of(second))
    poetry.sync(theirs, copy, index_of(second))
    assert copy.installed == NEEDS
    assert without_hash_of_settings(poetry.read_lock(copy)) == without_hash_of_settings(poetry.read_lock(project))


def test_uv_finds_a_readdressed_lock_up_to_date(start: Start, workplace: Workplace, tmp_path: Path) -> None:
    uv, first, second = INSTALLERS["uv"], start(), start()
    project = uv.start(workplace, tmp_path / "project", index_of(first), *NEEDS)
    uv.lock(workplace, project, index_of(first))
    readdress(project, first.netloc, second.netloc)
    workplace.succeed("uv", "lock", "--check", cwd=project.path)


def test_a_uv_lock_made_without_the_server_exports_to_what_installs_through_it(
    start: Start, public: ThreadedFakeIndex, new_workplace: Callable[[], Workplace], tmp_path: Path
) -> None:
    uv, pip, elsewhere = INSTALLERS["uv"], INSTALLERS["uv-pip"], new_workplace()
    project = uv.start(elsewhere, tmp_path / "project", Index(public.simple_url), *NEEDS)
    uv.lock(elsewhere, project, Index(public.simple_url))
    exported = elsewhere.succeed("uv", "export", "--frozen", "--no-emit-project", cwd=project.path).stdout
    here, server = new_workplace(), start()
    public.clear_requests()
    copy = make_project(here, tmp_path / "copy", {pip.lock_name: exported})
    pip.sync(here, copy, index_of(server))
    assert copy.installed == NEEDS
    assert {request.headers["User-Agent"].partition("/")[0] for request in public.requests} == {"pypi-sidecar"}


def test_a_group_may_have_locks_hold_the_upstreams_file_urls(
    start: Start, public: ThreadedFakeIndex, workplace: Workplace, tmp_path: Path
) -> None:
    uv, server = INSTALLERS["uv"], start(config=UPSTREAM_URLS)
    project = uv.start(workplace, tmp_path / "project", index_of(server), *NEEDS)
    uv.lock(workplace, project, index_of(server))
    urls = [line for line in uv.read_lock(project).splitlines() if "url = " in line]
    assert urls
    assert all(f"http://{public.files_host}/" in line for line in urls)
    uv.sync(workplace, project, index_of(server))
    assert project.installed == NEEDS


def without_hash_of_settings(lock: str) -> list[str]:
    return [line for line in lock.splitlines() if not line.startswith("content-hash")]


def readdress(project: Project, old: str, new: str) -> None:
    """What `sed -i s/OLD/NEW/` does to the files of a project."""
    for file in project.path.glob("*.*"):
        if file.is_file():
            file.write_text(file.read_text().replace(old, new))
