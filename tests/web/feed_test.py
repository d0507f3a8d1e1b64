"""Long answers of the warm lane: whole, in order, and at the pace of who reads them."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Self, cast

import pytest

from proxy.services import grounds
from proxy.web import feed as feeding
from proxy.web import warm as lane
from proxy.web.feed import Feed
from tests.fakes.gate import settle
from tests.web.server import JSON, eventually, forwards_to
from tests.web.twins import Twins, get

if TYPE_CHECKING:
    from proxy.web.connections import Connection
    from tests.fake_index import FakeIndex
    from tests.web.twins import MakeTwins

LONG = get("/simple/long/", f"Accept: {JSON}")
SHORT = get("/simple/demo/", f"Accept: {JSON}")
BODY = bytes(range(256)) * 10


class Wire:
    """What a Feed writes to. It takes so many pieces before it says that more would be too much."""

    def __init__(self, room: int = 1_000) -> None:
        self.written = b""
        self.reading = True
        self.closing = False
        self.room = room
        self.feed: Feed | None = None

    def write(self, data: bytes) -> None:
        self.written += data
        self.room -= 1
        if not self.room and self.feed:
            self.feed.pause()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing


def make_feed(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A feed in pieces of 256 bytes; it tells of its end in the list."""
    monkeypatch.setattr(feeding, "PIECE", 256)
    ends: list[str] = []
    wire.feed = Feed(cast("Any", wire), asyncio.get_running_loop(), BODY, lambda: ends.append("end"))
    return ends


class TestFeed:
    async def test_all_of_it_leaves_a_piece_a_turn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wire = Wire()
        ends = make_feed(wire, monkeypatch)
        assert wire.feed
        wire.feed.go_on()
        assert (wire.written, wire.reading, ends) == (BODY[:256], False, [])
        await settle()
        assert (wire.written, wire.reading, ends) == (BODY, True, ["end"])

    async def test_it_waits_for_who_takes_no_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wire = Wire(room=3)
        ends = make_feed(wire, monkeypatch)
        assert wire.feed
        wire.feed.go_on()
        await settle()
        assert (len(wire.written), ends) == (3 * 256, [])
        wire.feed.go_on()
        await settle()
        assert (wire.written, ends) == (BODY, ["end"])

    async def test_it_ends_where_the_client_is_gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wire = Wire()
        ends = make_feed(wire, monkeypatch)
        assert wire.feed
        wire.feed.go_on()
        wire.closing = True
        await settle()
        assert (len(wire.written), ends) == (256, ["end"])


@pytest.fixture
async def twins(make_twins: MakeTwins, index: FakeIndex, monkeypatch: pytest.MonkeyPatch) -> Twins:
    """The upstream's `long` has a page of some megabytes; the lane knows it, and that of `demo`."""
    monkeypatch.setattr(grounds, "MAX_AGE", 60.0)
    index.add_wheel("demo", "1.0")
    for number in range(20_000):
        index.add_file("long", f"long-{number}.tar.gz", b"")
    twins = await make_twins(forwards_to(index))
    for request in (LONG, SHORT):
        for _ in range(2):
            await twins.warm.ask(request)
    assert twins.warm_answers == 2
    return twins


def open_connections(twins: Twins) -> list[Connection]:
    return list(cast("Any", twins.warm._listener.runner).server._open)


async def begun(twins: Twins) -> Connection:
    """The connection on which the long page is being fed."""
    await eventually(lambda: any(each._feed is not None for each in open_connections(twins)))
    (connection,) = open_connections(twins)
    return connection


class Reader:
    """A client whose kernel holds little, and who reads when told to."""

    def __init__(self, twins: Twins) -> None:
        twins.warm.close()
        self._twins = twins
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.setblocking(False)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        await eventually(lambda: not open_connections(self._twins))
        await loop.sock_connect(self._socket, ("127.0.0.1", self._twins.warm._listener.port))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.close()

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def receive(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size and (data := await asyncio.get_running_loop().sock_recv(self._socket, 65536)):
            received += data
        return bytes(received)


async def test_a_long_page_is_the_same_in_both_lanes(twins: Twins) -> None:
    before = twins.warm_answers
    answer = await twins.ask(LONG)
    assert len(answer.body) > 10 * lane.AT_ONCE
    assert twins.warm_answers == before + 2


async def test_who_reads_slowly_gets_all_of_it_and_what_it_asked_behind_it(twins: Twins) -> None:
    long, short = await twins.slow.ask(LONG), await twins.slow.ask(SHORT)
    async with Reader(twins) as reader:
        await reader.send(LONG)
        await begun(twins)
        await reader.send(SHORT)
        received = await reader.receive(len(long.lasting) + len(short.lasting) - 100)
        received += await reader.receive(1) if not received.endswith(short.body) else b""
    assert received.count(long.body) == 1
    assert received.index(long.body) < received.index(b'"name":"demo"')


async def test_others_are_answered_meanwhile(twins: Twins) -> None:
    async with Reader(twins) as reader:
        await reader.send(LONG)
        await begun(twins)
        assert (await twins.slow.ask(SHORT)).status == 200


async def test_who_leaves_in_the_middle_leaves_nothing(twins: Twins) -> None:
    async with Reader(twins) as reader:
        await reader.send(LONG)
        connection = await begun(twins)
    await eventually(lambda: not open_connections(twins))
    assert connection._feed is None


async def test_a_stop_waits_for_it(twins: Twins) -> None:
    """As for any answer that was begun."""
    long = await twins.slow.ask(LONG)
    async with Reader(twins) as reader:
        await reader.send(LONG)
        connection = await begun(twins)
        connection.close()
        stopping = asyncio.create_task(connection.shutdown(20))
        received = await reader.receive(2 * len(long.body))
        await stopping
    assert received.endswith(long.body)


async def test_who_takes_nothing_is_given_up(twins: Twins) -> None:
    async with Reader(twins) as reader:
        await reader.send(LONG)
        connection, now = await begun(twins), asyncio.get_running_loop().time()
        connection.look(now)
        connection.look(now + 240)
        assert connection._feed is not None
        connection.look(now + 600)
        await eventually(lambda: connection._feed is None)


async def test_it_is_no_idle_time(twins: Twins) -> None:
    """The end of a kept connection's patience comes while it is being fed."""
    long = await twins.slow.ask(LONG)
    async with Reader(twins) as reader:
        await reader.send(LONG)
        connection = await begun(twins)
        connection.warm_at = connection._next_keepalive_close_time = 0.0
        connection._process_keepalive()
        received = await reader.receive(len(long.lasting) - 100)
        received += await reader.receive(1) if not received.endswith(long.body) else b""
    assert received.endswith(long.body)
