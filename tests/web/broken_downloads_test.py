"""Downloads that break on the way: taken up again where they stand, before those who follow notice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proxy.services import resuming
from tests.builders import build_wheel
from tests.fake_index import PYPI, Gate, Hang, Refuse, Status, Truncated, WrongBytes
from tests.web.cold_files_test import read_all
from tests.web.server import eventually, forwards_to, kept_by

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex, Fault
    from tests.web.server import MakeServer, Server

WHEEL = build_wheel("demo-pkg", "1.0", size_padding=300_000)
SIZE = len(WHEEL.data)
BREAK = SIZE * 6 // 10
LINK = f"/files/{WHEEL.sha256}/{WHEEL.filename}"
NOTHING = {"blobs": 0, "parts": 0}


@pytest.fixture(autouse=True)
def _listed(index: FakeIndex) -> None:
    index.add_built("demo-pkg", WHEEL)


def blob(server: Server) -> bytes:
    return (server.data_dir / "blobs" / WHEEL.sha256[:2] / WHEEL.sha256[2:]).read_bytes()


async def follow(server: Server, joined: asyncio.Barrier) -> tuple[bytes, bool]:
    async with server.open("GET", LINK) as response:
        assert response.status == 200
        await joined.wait()
        return await read_all(response)


def break_once(index: FakeIndex, then: Fault) -> None:
    """The next download breaks off at 60%, and what is asked after it meets `then`."""
    index.fault(Truncated(after=BREAK), "*.whl", times=1)
    index.fault(Status(200, {}, WHEEL.data), "*.whl", times=1)  # takes the turn that `then` would have
    index.fault(then, "*.whl")


class TestShared:
    async def test_fifty_followers_of_one_that_breaks_get_the_file_with_two_requests(
        self, server: Server, index: FakeIndex
    ) -> None:
        """Elsewhere they ask again one after the other: after 72 s, 43 of the 50 still wait."""
        index.fault(Truncated(after=BREAK), "*.whl", times=1)
        joined = asyncio.Barrier(50)
        outcomes = await asyncio.gather(*(follow(server, joined) for _ in range(50)))
        assert outcomes == [(WHEEL.data, True)] * 50
        assert index.count("GET", "*.whl") == 2
        await eventually(lambda: kept_by(server.data_dir)["parts"] == 0)
        assert blob(server) == WHEEL.data

    @pytest.mark.parametrize("broken", [Refuse(), Status(503), Status(503, {"Retry-After": "60"}), Status(404)])
    async def test_where_the_upstream_stays_broken_all_of_them_are_cut_off(
        self, server: Server, index: FakeIndex, broken: Fault
    ) -> None:
        index.fault(Gate(after=BREAK), "*.whl", times=1)
        joined = asyncio.Barrier(51)
        clients = [asyncio.create_task(follow(server, joined)) for _ in range(50)]
        await joined.wait()
        index.fault(broken, "*.whl")
        await index.down()
        await index.up()
        for body, ended in await asyncio.gather(*clients):
            assert not ended
            assert len(body) < BREAK
            assert WHEEL.data.startswith(body)
        await eventually(lambda: kept_by(server.data_dir) == NOTHING)
        index.clear_faults()
        assert (await server.get(LINK)).body == WHEEL.data, "the next one begins anew"

    async def test_a_leader_that_leaves_and_a_break_together_harm_nobody(
        self, server: Server, index: FakeIndex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resuming, "PAUSES", (0.1,) * 50)
        gate = index.fault(Gate(after=100_000), "*.whl", times=1)
        async with server.open("GET", LINK) as leader:
            await leader.content.readexactly(1000)
            staying = asyncio.create_task(server.get(LINK))
            leader.close()
        await index.down()
        await index.up()
        assert (await staying).body == WHEEL.data
        gate.open()


class TestTakenUpAgain:
    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(Truncated(), id="half"),
            pytest.param(Truncated(after=0), id="no byte"),
            pytest.param(Truncated(after=SIZE - 1), id="all but one byte"),
            pytest.param(Truncated(chunked=True), id="half, without a length"),
        ],
    )
    @pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
    async def test_whatever_is_missing(self, server: Server, index: FakeIndex, fault: Fault, *, ranges: bool) -> None:
        index.dialect = replace(PYPI, ranges=ranges)
        index.fault(fault, "*.whl", times=1)
        assert (await server.get(LINK)).body == WHEEL.data
        assert index.count("GET", "*.whl") == 2
        await eventually(lambda: kept_by(server.data_dir)["parts"] == 0)
        assert blob(server) == WHEEL.data

    @pytest.mark.parametrize("again", [Status(503), Status(429), Refuse()], ids=["503", "429", "refused"])
    async def test_also_where_the_next_connection_is_in_trouble(
        self, server: Server, index: FakeIndex, again: Fault
    ) -> None:
        index.fault(Truncated(), "*.whl", times=1)
        index.fault(again, "*.whl", times=2)
        assert (await server.get(LINK)).body == WHEEL.data

    async def test_after_silence(self, make_server: MakeServer, index: FakeIndex) -> None:
        server = await make_server(forwards_to(index, read_timeout='"1s"'))
        index.fault(Hang(after=100_000), "*.whl", times=1)
        assert (await server.get(LINK)).body == WHEEL.data
        assert index.bytes_sent("*.whl") == SIZE

    async def test_of_a_range_the_rest_of_the_range(self, server: Server, index: FakeIndex) -> None:
        index.fault(Truncated(after=50_000), "*.whl", times=1)
        answer = await server.get(LINK, Range="bytes=100000-199999")
        assert (answer.status, answer.body) == (206, WHEEL.data[100_000:200_000])
        first, last = index.requests[-1].headers["Range"].removeprefix("bytes=").split("-")
        assert (100_000 <= int(first) <= 150_000, last) == (True, "199999"), "what was under way may be lost"

    async def test_of_metadata(self, server: Server, index: FakeIndex) -> None:
        index.fault(Truncated(after=100), "*.metadata", times=1)
        assert (await server.get(f"{LINK}.metadata")).body == WHEEL.metadata


class TestWrong:
    @pytest.mark.parametrize(
        "rest",
        [
            pytest.param(WrongBytes(at=0), id="wrong bytes"),
            pytest.param(Status(206, {"Content-Range": f"bytes 0-9/{SIZE}"}, b"0123456789"), id="another range"),
            pytest.param(
                Status(206, {"Content-Range": f"bytes {BREAK}-{SIZE}/{SIZE + 1}"}, b"x" * (SIZE + 1 - BREAK)),
                id="another size",
            ),
            pytest.param(Status(200, {}, b"<html>Sorry</html>"), id="another file"),
            pytest.param(Status(416), id="no such range"),
        ],
    )
    async def test_a_rest_that_does_not_fit_ends_it(self, server: Server, index: FakeIndex, rest: Fault) -> None:
        break_once(index, rest)
        async with server.open("GET", LINK) as response:
            body, ended = await read_all(response)
        assert not ended
        assert len(body) < SIZE
        await eventually(lambda: kept_by(server.data_dir) == NOTHING)
        assert index.count("GET", "*.whl") == 2
        index.clear_faults()
        assert (await server.get(LINK)).body == WHEEL.data


class TestBeforeTheFirstByte:
    """What fails then is an answer with a message, not a broken connection."""

    @pytest.mark.parametrize("companion", ["", ".metadata"], ids=["file", "metadata"])
    @pytest.mark.parametrize("sent", [0, 20])
    async def test_a_small_file_that_breaks_off(
        self, server: Server, index: FakeIndex, companion: str, sent: int
    ) -> None:
        small = index.add_wheel("small", "1.0")
        index.fault(Truncated(after=sent), f"*/small*.whl{companion}", times=1)
        index.fault(Refuse(), f"*/small*.whl{companion}")
        await self.check(server, index, f"/files/{small.sha256}/{small.filename}{companion}", 503)

    @pytest.mark.parametrize("companion", ["", ".metadata"], ids=["file", "metadata"])
    async def test_a_small_file_with_wrong_bytes(self, server: Server, index: FakeIndex, companion: str) -> None:
        small = index.add_wheel("small", "1.0")
        index.fault(WrongBytes(), f"*/small*.whl{companion}")
        await self.check(server, index, f"/files/{small.sha256}/{small.filename}{companion}", 502)

    async def check(self, server: Server, index: FakeIndex, link: str, status: int) -> None:
        answer = await server.get(link)
        assert (answer.status, bool(answer.message)) == (status, True)
        await eventually(lambda: kept_by(server.data_dir) == NOTHING)
        index.clear_faults()
        assert (await server.get(link)).status == 200

    async def test_a_large_one_that_sends_a_head_and_then_nothing(self, server: Server, index: FakeIndex) -> None:
        index.fault(Truncated(after=500), "*.whl", times=1)
        index.fault(Refuse(), "*.whl")
        answer = await server.get(LINK)
        assert (answer.status, bool(answer.message)) == (503, True)

    async def test_a_range(self, server: Server, index: FakeIndex) -> None:
        index.fault(Truncated(after=0), "*.whl", times=1)
        index.fault(Refuse(), "*.whl")
        answer = await server.get(LINK, Range="bytes=0-99")
        assert (answer.status, bool(answer.message)) == (503, True)
        assert "Content-Range" not in answer.headers
