"""One download that many follow, broken on the way: all of them get the file, or all of them are soon cut off.

Elsewhere each follower of a failed download begins one of its own, one after another, and most of them still wait
after a minute.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.builders import build_wheel
from tests.fake_index import PYPI, Gate, Hang, Refuse, Snap, Status, Truncated, WrongBytes
from tests.web.server import JSON, eventually, forwards_to, kept_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.fake_index import FakeIndex, Fault
    from tests.web.server import MakeServer, Server

WHEEL = build_wheel("demo", "1.0", size_padding=500_000)
LINK = f"/files/{WHEEL.sha256}/{WHEEL.filename}"
SIZE = len(WHEEL.data)
BROKEN_AT = SIZE * 6 // 10
BEFORE_BREAK = BROKEN_AT - 4096
"""What followers have read when it breaks: all but what may be held back from them."""
FOLLOWERS = 50
CROWD = 1000
SOON = 15.0
"""Seconds within which the upstream is given up, its page timeout being two."""


@pytest.fixture
def index(index: FakeIndex) -> FakeIndex:
    index.add_built("demo", WHEEL)
    return index


@pytest.fixture
async def server(make_server: MakeServer, index: FakeIndex) -> Server:
    return await make_server(forwards_to(index, page_timeout='"2s"'))


class End(Enum):
    WHOLE = "the file as it should be"
    WRONG = "a clean end of something else"
    CUT = "broken off"


async def join(server: Server, snap: Snap) -> list[asyncio.Task[End]]:
    """Followers of one download, all of whom have got what there is of it; it waits for its break."""
    joined = asyncio.Barrier(FOLLOWERS + 1)

    async def follow() -> End:
        async with server.open("GET", LINK) as response:
            first = await response.content.readexactly(BEFORE_BREAK)
            await joined.wait()
            try:
                return End.WHOLE if first + await response.read() == WHEEL.data else End.WRONG
            except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError):
                return End.CUT

    followers = [asyncio.create_task(follow()) for _ in range(FOLLOWERS)]
    async with asyncio.timeout(SOON):
        await joined.wait()
    await snap.waiting()
    return followers


async def ends(followers: Iterable[asyncio.Task[End]]) -> set[End]:
    async with asyncio.timeout(SOON):
        return set(await asyncio.gather(*followers))


async def test_all_followers_of_a_download_that_breaks_get_the_file(server: Server, index: FakeIndex) -> None:
    snap = index.fault(Snap(after=BROKEN_AT), "*.whl", times=1)
    followers = await join(server, snap)
    snap.open()
    assert await ends(followers) == {End.WHOLE}
    first, second = (ask for ask in index.requests if ask.path.endswith(".whl"))
    assert "Range" not in first.headers
    resumed_at = int(second.headers["Range"].removeprefix("bytes=").partition("-")[0])
    assert BEFORE_BREAK < resumed_at <= BROKEN_AT
    assert index.bytes_sent("*.whl") == SIZE + BROKEN_AT - resumed_at
    assert (await server.get(LINK)).body == WHEEL.data
    assert index.count("GET", "*.whl") == 2


async def test_an_upstream_without_ranges_sends_it_again(server: Server, index: FakeIndex) -> None:
    index.dialect = replace(PYPI, ranges=False)
    snap = index.fault(Snap(after=BROKEN_AT), "*.whl", times=1)
    followers = await join(server, snap)
    snap.open()
    assert await ends(followers) == {End.WHOLE}
    assert index.count("GET", "*.whl") == 2


async def test_a_download_goes_on_however_often_it_breaks_while_bytes_come(server: Server, index: FakeIndex) -> None:
    snaps = [index.fault(Snap(after), "*.whl", times=1) for after in (BROKEN_AT, 50_000, 50_000, 50_000)]
    followers = await join(server, snaps[0])
    for snap in snaps:
        snap.open()
    assert await ends(followers) == {End.WHOLE}
    assert index.count("GET", "*.whl") == len(snaps) + 1


async def test_a_server_error_on_the_way_back_is_tried_again(server: Server, index: FakeIndex) -> None:
    snap = index.fault(Snap(after=BROKEN_AT), "*.whl", times=1)
    followers = await join(server, snap)
    index.fault(Status(503), "*.whl", times=1)
    snap.open()
    assert await ends(followers) == {End.WHOLE}
    assert index.count("GET", "*.whl") == 3


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(Refuse, id="refused"),
        pytest.param(partial(Status, 500), id="500"),
        pytest.param(partial(Status, 404), id="404"),
        pytest.param(partial(Status, 206), id="206 of nothing"),
        pytest.param(WrongBytes, id="wrong bytes"),
        pytest.param(Hang, id="silent", marks=pytest.mark.slow),
    ],
)
async def test_all_followers_are_cut_off_where_the_upstream_stays_broken(
    server: Server, index: FakeIndex, after: Callable[[], Fault]
) -> None:
    snap = index.fault(Snap(after=BROKEN_AT), "*.whl", times=1)
    followers = await join(server, snap)
    index.fault(after(), "*.whl")
    snap.open()
    assert await ends(followers) == {End.CUT}
    await eventually(lambda: kept_by(server.data_dir) == {"blobs": 0, "parts": 0})
    index.clear_faults()
    index.clear_requests()
    assert (await server.get(LINK)).body == WHEEL.data  # at once: nobody waits for what failed
    assert index.count("GET", "*.whl") == 1


async def test_who_asks_after_the_break_gets_all_of_the_resumed_download(server: Server, index: FakeIndex) -> None:
    snap = index.fault(Snap(after=BROKEN_AT), "*.whl", times=1)
    resumed = index.fault(Gate(after=10_000), "*.whl", times=1)
    followers = await join(server, snap)
    snap.open()
    await resumed.waiting()
    late = asyncio.create_task(server.get(LINK))
    part = await server.get(LINK, Range=f"bytes={BROKEN_AT - 10}-{BROKEN_AT + 9}")
    assert part.body == WHEEL.data[BROKEN_AT - 10 : BROKEN_AT + 10]
    resumed.open()
    assert (await late).body == WHEEL.data
    assert await ends(followers) == {End.WHOLE}
    assert index.count("GET", "*.whl") == 2


async def test_a_range_that_breaks_is_taken_up_again(server: Server, index: FakeIndex) -> None:
    index.fault(Truncated(after=10_000), "*.whl", times=1)
    answer = await server.get(LINK, Range="bytes=100000-199999")
    assert (answer.status, answer.body) == (206, WHEEL.data[100_000:200_000])
    assert index.count("GET", "*.whl") == 2


# A crowd


@pytest.mark.slow
async def test_a_thousand_clients_cause_one_request_for_a_cold_page(server: Server, index: FakeIndex) -> None:
    gate = index.fault(Gate(after=None), "/simple/demo/")
    clients = [asyncio.create_task(server.get("/simple/demo/", Accept=JSON)) for _ in range(CROWD)]
    await gate.waiting()
    gate.open()
    answers = await asyncio.gather(*clients)
    assert {tuple(answer.page.filenames) for answer in answers} == {(WHEEL.filename,)}
    assert index.count() == 1


async def test_a_thousand_clients_cause_one_request_for_a_cold_file_and_its_page(
    server: Server, index: FakeIndex
) -> None:
    small = index.add_wheel("small", "1.0", size_padding=20_000)
    gate = index.fault(Gate(after=10_000), "*/small*.whl")
    link = f"/files/{small.sha256}/{small.filename}"
    clients = [asyncio.create_task(server.get(link)) for _ in range(CROWD)]
    await gate.waiting()
    gate.open()
    assert {answer.body for answer in await asyncio.gather(*clients)} == {small.data}
    assert index.count(match="*/small*.whl") == 1
    assert index.count("GET", "/simple/small/") == 1


@pytest.mark.slow
async def test_a_thousand_clients_cause_one_request_for_an_absent_name(server: Server, index: FakeIndex) -> None:
    gate = index.fault(Gate(after=None), "/simple/absent/")
    clients = [asyncio.create_task(server.get("/simple/absent/")) for _ in range(CROWD)]
    await gate.waiting()
    gate.open()
    assert {answer.status for answer in await asyncio.gather(*clients)} == {404}
    assert index.count() == 1
