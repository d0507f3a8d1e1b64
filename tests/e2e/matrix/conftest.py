from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness import Server, forwards_to
from tests.e2e.matrix.environments import Environments
from tests.e2e.matrix.stock import add_public_projects, publish_own_projects, yank
from tests.e2e.matrix.workplace import Workplace
from tests.fake_index import ThreadedFakeIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
TIMEOUT = 600
"""Seconds for one test: it may be the one that has to make an environment, or waits for who makes it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.clients)
            item.add_marker(pytest.mark.timeout(TIMEOUT))


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    directory = shared / "clients"
    directory.mkdir(exist_ok=True)
    return Environments(directory)


@pytest.fixture
def new_workplace(tmp_path: Path, environments: Environments) -> Callable[[], Workplace]:
    """Workplaces that share nothing."""
    numbers = count()

    def make() -> Workplace:
        home = tmp_path / f"home-{next(numbers)}"
        home.mkdir()
        return Workplace(home, environments)

    return make


@pytest.fixture
def workplace(new_workplace: Callable[[], Workplace]) -> Workplace:
    return new_workplace()


@pytest.fixture(scope="session")
def public() -> Iterator[ThreadedFakeIndex]:
    """The public index."""
    with ThreadedFakeIndex() as index:
        add_public_projects(index)
        yield index


@pytest.fixture(scope="session")
def stocked(public: ThreadedFakeIndex, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with projects of its own, one of them yanked, that forwards the rest."""
    path = tmp_path_factory.mktemp("stocked")
    config, data_dir = path / "config.toml", path / "data"
    config.write_text(forwards_to(public))
    with Server(data_dir, config=config) as server:
        publish_own_projects(server)
        yank("default/packages", "acme-pulled==2.0", data_dir=data_dir, config=config)
        yield server
