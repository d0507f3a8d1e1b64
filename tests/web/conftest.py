from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from proxy.config import load_config
from proxy.services import resuming
from proxy.upstream import client
from tests.fake_index import FakeIndex
from tests.web.server import Server, forwards_to
from tests.web.twins import MakeTwins, Twins

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.web.server import MakeServer

_MEMORY = Path("/dev/shm")  # noqa: S108 - only the directories made below it are used
ENVIRON = {"UPSTREAM_PASSWORD": "the upstream's secret"}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again soon."""
    monkeypatch.setattr(client, "PAUSES", (0.0, 0.01))
    monkeypatch.setattr(resuming, "PAUSES", (0.0, 0.01, 0.01, 0.01))


@pytest.fixture
async def index() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        yield index


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """In memory where the machine has such a directory: hundreds of servers start here, and each syncs its files."""
    with TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else tmp_path) as directory:
        yield Path(directory) / "data"


@pytest.fixture(params=[True, pytest.param(False, marks=pytest.mark.slow)], ids=["warm", "slow"])
def warm(request: pytest.FixtureRequest) -> bool:
    """Whether the warm lane stands in front of the server: all holds with it and without."""
    return bool(request.param)


@pytest.fixture
async def make_server(data_dir: Path, warm: bool) -> AsyncIterator[MakeServer]:  # noqa: FBT001 - a fixture
    async with AsyncExitStack() as stack:

        async def make(toml: str = "", /) -> Server:
            file = data_dir.with_name("config.toml")
            file.write_text(toml)
            config = load_config(file, ENVIRON, server={"data_dir": str(data_dir)})
            return await stack.enter_async_context(Server(config, warm=warm))

        yield make


@pytest.fixture
async def server(make_server: MakeServer, index: FakeIndex) -> Server:
    """A server of the built-in group whose PyPI is the fake index."""
    return await make_server(forwards_to(index))


@pytest.fixture
async def make_twins(data_dir: Path) -> AsyncIterator[MakeTwins]:
    async with AsyncExitStack() as stack:

        async def make(toml: str = "", /) -> Twins:
            file = data_dir.with_name("config.toml")
            file.write_text(toml)
            config = load_config(file, ENVIRON, server={"data_dir": str(data_dir)})
            return await stack.enter_async_context(Twins(config))

        yield make
