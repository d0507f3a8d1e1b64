from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from proxy.config import load_config
from tests.fake_index import FakeIndex
from tests.web.server import Server, forwards_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.web.server import MakeServer


ENVIRON = {"UPSTREAM_PASSWORD": "the upstream's secret"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "standard(*numbers): proves these assertions of the conformance checklist")


@pytest.fixture
async def index() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        yield index


@pytest.fixture
async def make_server(tmp_path: Path) -> AsyncIterator[MakeServer]:
    async with AsyncExitStack() as stack:

        async def make(toml: str = "", /) -> Server:
            file = tmp_path / "config.toml"
            file.write_text(toml)
            config = load_config(file, ENVIRON, server={"data_dir": str(tmp_path / "data")})
            return await stack.enter_async_context(Server(config))

        yield make


@pytest.fixture
async def server(make_server: MakeServer, index: FakeIndex) -> Server:
    """A server of the built-in group whose PyPI is the fake index."""
    return await make_server(forwards_to(index))
