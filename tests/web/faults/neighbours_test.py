"""What is healthy is answered while what is sick still hangs: an order of events, no measure of time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.fake_index import PYPI, Drip, Endless, EndlessHead, FakeIndex, Hang
from tests.web.faults.subjects import Kind, add_subject, ask
from tests.web.server import JSON, forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from tests.fake_index import Fault
    from tests.web.faults.subjects import Subject
    from tests.web.server import Answer, MakeServer, Server

SICK = 10
SLOW: Mapping[str, Callable[[], Fault]] = {
    "silent": Hang,
    "stuck": lambda: Hang(after=40),
    "dripping": lambda: Drip(size=1, delay=0.1),
    "endless": lambda: Endless(delay=0.01),
    "endless head": lambda: EndlessHead(delay=0.01),
}


@pytest.fixture
async def asking() -> AsyncIterator[list[asyncio.Task[Answer | None]]]:
    """Requests under way, given up at the test's end."""
    tasks: list[asyncio.Task[Answer | None]] = []
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def make_sick(index: FakeIndex, fault: Fault) -> list[Subject]:
    subjects = [add_subject(index, f"sick{number}") for number in range(SICK)]
    for subject in subjects:
        for kind in Kind:
            index.fault(fault, subject.source(kind))
    return subjects


async def begin(server: Server, index: FakeIndex, subjects: Iterable[Subject]) -> list[asyncio.Task[Answer | None]]:
    """Ask for their pages, until all have reached the upstream."""
    tasks = [asyncio.create_task(ask(server, subject, Kind.PAGE)) for subject in subjects]
    await index.until(lambda: index.count("GET", "/simple/sick*") == len(tasks))
    return tasks


@pytest.mark.parametrize("fault", SLOW)
async def test_a_healthy_name_of_the_same_upstream(
    server: Server, index: FakeIndex, asking: list[asyncio.Task[Answer | None]], fault: str
) -> None:
    index.dialect = replace(PYPI, gzip=False)  # a gzip body ends by itself
    healthy = add_subject(index, "healthy")
    asking += await begin(server, index, make_sick(index, SLOW[fault]()))
    for kind in Kind:
        assert healthy.is_right(kind, await ask(server, healthy, kind)), kind
    assert not any(task.done() for task in asking)


async def test_a_healthy_file_while_files_of_its_upstream_hang(
    server: Server, index: FakeIndex, asking: list[asyncio.Task[Answer | None]]
) -> None:
    healthy = add_subject(index, "healthy")
    sick = [add_subject(index, f"sick{number}") for number in range(SICK)]
    hang = index.fault(Hang(after=40), "*/sick*.whl*")
    for kind in (Kind.FILE, Kind.METADATA, Kind.IN_WHEEL):
        asking += [asyncio.create_task(ask(server, subject, kind)) for subject in sick]
    await hang.waiting(len(asking))
    for kind in Kind:
        assert healthy.is_right(kind, await ask(server, healthy, kind)), kind
    assert not any(task.done() for task in asking)


async def test_other_upstreams_and_local_files_while_one_upstream_has_no_connection_left(
    make_server: MakeServer, index: FakeIndex, asking: list[asyncio.Task[Answer | None]]
) -> None:
    async with FakeIndex() as other:
        server = await make_server(
            forwards_to(index, "slow", max_connections="2")
            + forwards_to(other, "other")
            + '[groups.slow]\nid = 1\nupstreams = ["slow"]\n[projects."slow/packages"]\nid = 1\n'
            + '[groups.default]\nid = 2\nupstreams = ["other"]\n[projects."default/packages"]\nid = 2\n'
        )
        routes = "/api/v4/groups/slow/-/packages/pypi"
        hang = index.fault(Hang())
        sick = [add_subject(index, f"sick{number}", routes) for number in range(SICK)]
        asking += [asyncio.create_task(ask(server, subject, Kind.PAGE)) for subject in sick]
        await hang.waiting(2)
        healthy, own = add_subject(other, "healthy"), build_wheel("own", "1.0")
        for kind in Kind:
            assert healthy.is_right(kind, await ask(server, healthy, kind)), kind
        await publish(server, own)
        assert (await server.get(f"/files/{own.sha256}/{own.filename}")).body == own.data
        assert (await server.page("/simple/own/")).filenames == [own.filename]
        assert (await server.get("/-/readiness")).status == 200
        assert not any(task.done() for task in asking)


async def test_what_is_cached_while_its_own_page_hangs(make_server: MakeServer, index: FakeIndex) -> None:
    """Of a name that has failed once: who comes next does not wait as long as the first."""
    server = await make_server(forwards_to(index, page_timeout='"1s"') + '[cache]\npage_ttl = "0s"\n')
    subject = add_subject(index, "sick")
    for kind in Kind:
        await ask(server, subject, kind)
    hang = index.fault(Hang(), subject.source(Kind.PAGE))
    first = await ask(server, subject, Kind.PAGE)
    assert first
    assert "detail=stale-if-error" in first.headers["Cache-Status"]
    asked = hang.arrived
    for kind in Kind:
        assert subject.is_right(kind, await ask(server, subject, kind)), kind
    assert hang.arrived == asked


async def test_the_index_page_and_an_absent_name_while_pages_hang(
    server: Server, index: FakeIndex, asking: list[asyncio.Task[Answer | None]]
) -> None:
    asking += await begin(server, index, make_sick(index, Hang()))
    assert (await server.get("/simple/", Accept=JSON)).projects == []
    assert (await server.get("/simple/absent/", Accept=JSON)).status == 404
    assert not any(task.done() for task in asking)
