from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from proxy.config import load_config
from proxy.web.connections import Limits
from tests.hostile.bounded import BoundedServer
from tests.web.conftest import data_dir, index
from tests.web.server import forwards_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.fake_index import FakeIndex

__all__ = ["data_dir", "index"]


class MakeBounded(Protocol):
    async def __call__(self, limits: Limits, toml: str = "", /) -> BoundedServer: ...


@pytest.fixture
async def make_bounded(data_dir: Path) -> AsyncIterator[MakeBounded]:
    """Starts a server with these bounds and this config; one at a time."""
    async with AsyncExitStack() as stack:

        async def make(limits: Limits, toml: str = "", /) -> BoundedServer:
            file = data_dir.with_name("config.toml")
            file.write_text(toml)
            config = load_config(file, {}, server={"data_dir": str(data_dir)})
            return await stack.enter_async_context(BoundedServer(config, limits))

        yield make


@pytest.fixture
async def server(make_bounded: MakeBounded, index: FakeIndex) -> BoundedServer:
    """A server with the bounds that `serve` has, and the fake index for its PyPI."""
    return await make_bounded(Limits(), forwards_to(index))
