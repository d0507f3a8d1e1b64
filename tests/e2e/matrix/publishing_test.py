"""Each client publishes what it or somebody else built; what it does with what is published already."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness import Server, forwards_to
from tests.e2e.matrix.installers import INSTALLERS, Index
from tests.e2e.matrix.publishers import NEEDS, PUBLISHERS, VERSION, Publisher, Target, distributions
from tests.e2e.matrix.workplace import words
from tests.e2e.wire import check_intact, list_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.matrix.workplace import Workplace
    from tests.fake_index import ThreadedFakeIndex

PROJECTS = """
[groups."default"]
id = 1
[projects."default/packages"]
id = 1
[projects."default/repeated"]
id = 2
duplicates = "identical"
"""
REPEATED = "api/v4/projects/default%2Frepeated/packages/pypi"

every_publisher = pytest.mark.parametrize("publisher", PUBLISHERS.values(), ids=PUBLISHERS)
those_that_skip = pytest.mark.parametrize(
    "publisher",
    [pytest.param(publisher, id=name) for name, publisher in PUBLISHERS.items() if publisher.skips],
)


@pytest.fixture(scope="module")
def server(public: ThreadedFakeIndex, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("publishing")
    (path / "config.toml").write_text(forwards_to(public) + PROJECTS)
    with Server(path / "data", config=path / "config.toml") as server:
        yield server


@pytest.fixture
def target(server: Server) -> Target:
    return Target(f"{server.url}legacy/", f"{server.url}simple/")


@every_publisher
@pytest.mark.standard(74, 75, 76, 93)
def test_what_a_client_publishes_is_listed_and_installs(
    target: Target, workplace: Workplace, tmp_path: Path, publisher: Publisher
) -> None:
    name = f"acme-{publisher.client}"
    project = publisher.build(workplace, tmp_path / "project", name)
    done = publisher.publish(workplace, project, target)
    assert done.returncode == 0, words(done)

    listed = list_files(f"{target.index}{name}/")
    assert {file.filename: file.sha256 for file in listed} == built(project)
    assert len(listed) == 2
    for file in listed:
        check_intact(file)
    pip, index = INSTALLERS["pip-26"], Index(target.index)
    user = pip.start(workplace, tmp_path / "user", index, name)
    pip.lock(workplace, user, index)
    assert user.installed == {name: VERSION, NEEDS: "2.0"}


@every_publisher
def test_a_client_says_that_a_file_is_published_already(
    target: Target, workplace: Workplace, tmp_path: Path, publisher: Publisher
) -> None:
    name = f"acme-twice-{publisher.client}"
    project = publisher.build(workplace, tmp_path / "project", name)
    assert publisher.publish(workplace, project, target).returncode == 0
    before = list_files(f"{target.index}{name}/")
    again = publisher.publish(workplace, project, target)
    assert again.returncode != 0
    assert publisher.tells in words(again)
    assert list_files(f"{target.index}{name}/") == before


@those_that_skip
def test_a_client_passes_over_what_is_published_already(
    target: Target, workplace: Workplace, tmp_path: Path, publisher: Publisher
) -> None:
    name = f"acme-skipped-{publisher.client}"
    project = publisher.build(workplace, tmp_path / "project", name)
    wheel, sdist = distributions(project)
    held_back = tmp_path / sdist.name
    sdist.rename(held_back)
    assert publisher.publish(workplace, project, target).returncode == 0
    held_back.rename(sdist)
    again = publisher.publish(workplace, project, target, skip_existing=True)
    assert again.returncode == 0, words(again)
    assert {file.filename for file in list_files(f"{target.index}{name}/")} == {wheel.name, sdist.name}


@every_publisher
def test_a_project_that_takes_identical_files_again_needs_no_skipping(
    server: Server, target: Target, workplace: Workplace, tmp_path: Path, publisher: Publisher
) -> None:
    name = f"acme-same-{publisher.client}"
    project = publisher.build(workplace, tmp_path / "project", name)
    repeated = Target(server.url + REPEATED, target.index)
    for _ in range(2):
        done = publisher.publish(workplace, project, repeated)
        assert done.returncode == 0, words(done)
    assert len(list_files(f"{target.index}{name}/")) == 2


def built(project: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in distributions(project)}
