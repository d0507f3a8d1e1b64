"""Each client locks and installs local and forwarded projects, with hashes, yanks and upload times respected."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness import forwards_to
from tests.e2e.matrix.installers import INSTALLERS, Index, Installer
from tests.e2e.matrix.stock import APP, TIMED, WITHOUT_YANKED, publish_own_projects
from tests.e2e.wire import JSON, ask, list_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.harness import Serve, Server
    from tests.e2e.matrix.workplace import Workplace
    from tests.fake_index import ThreadedFakeIndex

FILE_REQUEST = re.compile(r" GET (\S*/files/\S+(?<!\.metadata)) 200 ")

every_installer = pytest.mark.parametrize("installer", INSTALLERS.values(), ids=INSTALLERS)
those_with_a_cutoff = pytest.mark.parametrize(
    "installer",
    [pytest.param(installer, id=name) for name, installer in INSTALLERS.items() if installer.cutoff],
)


@every_installer
@pytest.mark.standard(100)
def test_a_lock_installs_elsewhere_with_hashes(
    stocked: Server, new_workplace: Callable[[], Workplace], tmp_path: Path, installer: Installer
) -> None:
    index = Index(f"{stocked.url}simple/")
    mine, theirs = new_workplace(), new_workplace()
    project = installer.start(mine, tmp_path / "mine", index, "acme-app")
    installer.lock(mine, project, index)
    copy = installer.check_out(theirs, project, tmp_path / "theirs")
    installer.sync(theirs, copy, index)

    assert copy.installed == APP
    wheels = [file for name in APP for file in list_files(f"{index.url}{name}/") if file.filename.endswith(".whl")]
    locked = [file for file in wheels if file.sha256 in installer.read_lock(project)]
    assert {file.filename for file in locked} >= {
        "acme_app-1.0-py3-none-any.whl",
        "acme_lib-1.5-py3-none-any.whl",
        "public_lib-2.0-py3-none-any.whl",
    }


@every_installer
def test_a_yanked_version_is_passed_over(
    stocked: Server, workplace: Workplace, tmp_path: Path, installer: Installer
) -> None:
    index = Index(f"{stocked.url}simple/")
    project = installer.start(workplace, tmp_path / "project", index, *WITHOUT_YANKED)
    installer.lock(workplace, project, index)
    installer.sync(workplace, project, index)
    assert project.installed == WITHOUT_YANKED


@every_installer
def test_a_second_run_takes_the_files_from_the_clients_cache(
    serve: Serve, public: ThreadedFakeIndex, workplace: Workplace, tmp_path: Path, installer: Installer
) -> None:
    server = serve(forwards_to(public))
    publish_own_projects(server)
    index = Index(f"{server.url}simple/")
    first = installer.start(workplace, tmp_path / "first", index, "acme-app")
    installer.lock(workplace, first, index)
    installer.sync(workplace, first, index)
    second = installer.check_out(workplace, first, tmp_path / "second")
    installer.sync(workplace, second, index)
    assert second.installed == first.installed == APP

    server.terminate()  # now the log is complete
    downloads = Counter(FILE_REQUEST.findall(server.stderr))
    assert downloads
    assert {path for path, times in downloads.items() if times > 1} == set()


@those_with_a_cutoff
@pytest.mark.parametrize("name", TIMED)
@pytest.mark.standard(101)
def test_what_was_uploaded_after_a_day_is_passed_over(
    stocked: Server, workplace: Workplace, tmp_path: Path, installer: Installer, name: str
) -> None:
    index = Index(f"{stocked.url}simple/")
    project = installer.start(workplace, tmp_path / "project", index, name)
    installer.lock(workplace, project, index, before=between_uploads(f"{index.url}{name}/"))
    installer.sync(workplace, project, index)
    assert project.installed == {name: "1.0"}


def test_poetry_passes_over_what_is_younger_than_its_days(
    stocked: Server, workplace: Workplace, tmp_path: Path
) -> None:
    poetry, index = INSTALLERS["poetry"], Index(f"{stocked.url}simple/")
    project = poetry.start(workplace, tmp_path / "project", index, *TIMED)
    settings = {"POETRY_SOLVER_MIN_RELEASE_AGE": "2"}
    done = workplace.run("poetry", "--no-interaction", "lock", cwd=project.path, settings=settings)
    assert done.returncode != 0
    assert "acme-timed: 1.0, 2.0" in done.stdout + done.stderr


def between_uploads(page: str) -> str:
    """A moment after the upload of 1.0 and before that of 2.0."""
    files = json.loads(ask("GET", page, headers={"Accept": JSON}).body)["files"]
    first, second = sorted(datetime.fromisoformat(file["upload-time"]) for file in files)
    return (first + (second - first) / 2).isoformat(timespec="milliseconds")
