from __future__ import annotations

import gc
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from proxy.core.registry import Upstream
from proxy.upstream import HttpUpstream, client
from tests.fake_index import FakeIndex

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.upstream.asking import Connect

AMPLE = timedelta(seconds=10)
"""For what happens at once."""


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left_open() -> Iterator[None]:
    """What was not closed warns when it is collected, and a warning is an error."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY_AFTER", 0.01)
    monkeypatch.setattr(client, "PAUSES", (0.0, 0.01))


@pytest.fixture
async def index() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        yield index


@pytest.fixture
def settings(index: FakeIndex) -> Upstream:
    """The index as a config would name it."""
    return Upstream("pypi", index.simple_url, (index.files_host,), "", "", "", AMPLE, AMPLE, AMPLE)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Clients that must have given back all their connections in the end."""
    async with AsyncExitStack() as stack:
        clients: list[HttpUpstream] = []

        async def make(settings: Upstream) -> HttpUpstream:
            clients.append(await stack.enter_async_context(HttpUpstream(settings)))
            return clients[-1]

        yield make
        for made in clients:
            for session in (made._wire.pages, made._wire.files):
                assert session.connector is not None
                assert not session.connector._acquired


@pytest.fixture
async def upstream(connect: Connect, settings: Upstream) -> HttpUpstream:
    return await connect(settings)
