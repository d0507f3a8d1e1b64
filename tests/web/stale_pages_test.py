"""Pages that stand in for what an upstream does not say in time, takes back, or forbids to ask."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.fake_index import Gate, Status
from tests.web.server import JSON, forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex, File
    from tests.web.server import Answer, MakeServer, Server

PAGE = "/simple/demo-pkg/"
OTHER = "/simple/other-pkg/"
EXPIRED = '[cache]\npage_ttl = "0s"\n'
STALE = "detail=stale-if-error"


@pytest.fixture
def file(index: FakeIndex) -> File:
    return index.add_wheel("demo-pkg", "1.0", size_padding=20_000)


def link(file: File) -> str:
    return f"/files/{file.sha256}/{file.filename}"


async def ask(server: Server, page: str = PAGE) -> Answer:
    return await server.get(page, Accept=JSON)


# Slow


async def test_a_slow_upstream_holds_nobody_up_for_whom_a_page_is_at_hand(
    make_server: MakeServer, index: FakeIndex, file: File
) -> None:
    server = await make_server(forwards_to(index, page_timeout='"1h"', read_timeout='"1h"') + EXPIRED)
    index.add_wheel("other-pkg", "1.0")
    assert (await server.get(link(file))).body == file.data
    await ask(server, OTHER)
    gate = index.fault(Gate(after=None), "/simple/*")
    asked = index.count("GET", OTHER)
    added = index.add_wheel("demo-pkg", "2.0")
    answer = await ask(server)
    assert answer.page.filenames == [file.filename]
    assert STALE in answer.headers["Cache-Status"]
    assert (await server.get(link(file))).body == file.data
    assert STALE in (await ask(server, OTHER)).headers["Cache-Status"]
    assert (index.count("GET", OTHER), index.abandoned(PAGE)) == (asked, 0)
    gate.open()
    async with asyncio.timeout(10):
        while STALE in (answer := await ask(server)).headers["Cache-Status"]:  # noqa: ASYNC110 - only pages tell of it
            await asyncio.sleep(0.01)
    assert answer.page.filenames == [file.filename, added.filename]


# Taken back


async def test_an_old_copy_from_a_cache_on_the_way_is_not_believed(
    make_server: MakeServer, index: FakeIndex, file: File
) -> None:
    server = await make_server(forwards_to(index) + EXPIRED)
    before = await ask(server)
    body = b'{"meta": {"api-version": "1.0"}, "name": "demo-pkg", "files": []}'
    rule = index.fault(Status(200, {"Content-Type": JSON, "X-PyPI-Last-Serial": "0"}, body), PAGE)
    answer = await ask(server)
    assert answer.body == before.body
    assert STALE in answer.headers["Cache-Status"]
    assert (await server.get(link(file))).status == 200
    index.clear_faults(rule)
    index.fault(Status(200, {"Content-Type": JSON, "X-PyPI-Last-Serial": "999"}, body), PAGE)
    await server.close()
    server = await make_server(forwards_to(index) + EXPIRED)
    assert (await ask(server)).page.filenames == []


# Forbidden


@pytest.mark.parametrize("status", [429, 503])
async def test_how_long_an_upstream_wants_to_be_left_alone_is_passed_on(
    server: Server, index: FakeIndex, status: int
) -> None:
    index.fault(Status(status, {"Retry-After": "30"}), PAGE)
    answer = await ask(server)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
    assert index.count("GET", PAGE) == 1


async def test_and_pages_at_hand_are_served_meanwhile(make_server: MakeServer, index: FakeIndex, file: File) -> None:
    server = await make_server(forwards_to(index) + EXPIRED)
    index.add_wheel("other-pkg", "1.0")
    for page in (PAGE, OTHER):
        await ask(server, page)
    index.fault(Status(429, {"Retry-After": "30"}), PAGE)
    await ask(server)
    index.clear_requests()
    for page in (PAGE, OTHER):
        assert STALE in (await ask(server, page)).headers["Cache-Status"]
    assert (await server.get(link(file))).body == file.data
    assert [request.path for request in index.requests] == [file.path]


# Absent


@pytest.mark.parametrize(
    "config", ["", '[groups.default]\nid = 1\nmerge = ["demo-pkg"]\n[projects."default/packages"]\nid = 1\n']
)
async def test_what_is_published_is_there_at_once_whatever_was_absent_before(
    make_server: MakeServer, index: FakeIndex, config: str
) -> None:
    server = await make_server(forwards_to(index) + config)
    assert [(await ask(server)).status for _ in range(2)] == [404] * 2
    own = build_wheel("demo-pkg", "1.0")
    await publish(server, own)
    assert (await ask(server)).page.filenames == [own.filename]
    assert (await server.get(f"/files/{own.sha256}/{own.filename}")).body == own.data
    assert index.count("GET", PAGE) == 1
