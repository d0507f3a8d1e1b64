from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from proxy.core.freshness import CacheRules
from proxy.services import resuming
from proxy.services.neighbours import ALONE
from tests.fakes.clock import FakeClock
from tests.fakes.metadata_store import MemoryMetadataStore
from tests.fakes.upstream import FakeUpstream
from tests.services.house import ACME, PACKAGES, House, MakeHouse, open_house, registry_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from proxy.core.registry import Group, Project
    from proxy.services.neighbours import Neighbours


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again soon."""
    monkeypatch.setattr(resuming, "PAUSES", (0.0, 0.01, 0.01, 0.01))


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """In memory where the system has room for files there: each data directory holds 256 others."""
    memory = Path("/dev/shm")  # noqa: S108 - a fresh directory of our own in it
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        yield Path(directory)


@pytest.fixture
async def make_house(data_dir: Path) -> AsyncIterator[MakeHouse]:
    async with AsyncExitStack() as stack:

        async def make(
            *groups: Group,
            projects: Iterable[Project] = (PACKAGES,),
            upstreams: Iterable[FakeUpstream] = (),
            rules: CacheRules | None = None,
            store: MemoryMetadataStore | None = None,
            clock: FakeClock | None = None,
            neighbours: Neighbours = ALONE,
        ) -> House:
            clients = {upstream.name: upstream for upstream in upstreams or [FakeUpstream()]}
            return await stack.enter_async_context(
                open_house(
                    data_dir,
                    registry_of(groups or [ACME], projects, clients),
                    clients,
                    rules or CacheRules(),
                    store or MemoryMetadataStore(),
                    clock or FakeClock(),
                    neighbours,
                )
            )

        yield make


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    return await make_house()
