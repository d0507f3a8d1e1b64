"""Clients that are slow on purpose: none keeps its connection for long, none keeps others from theirs."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from proxy.web import connections, sendfile, upload
from proxy.web.connections import Limits
from tests.builders import build_wheel
from tests.e2e.wire import upload_form
from tests.web.server import eventually, forwards_to, kept_by
from tests.web.uploads import publish

if TYPE_CHECKING:
    from proxy.web.connections import Connection
    from tests.builders import BuiltFile
    from tests.fake_index import FakeIndex
    from tests.hostile.bounded import BoundedServer, Client
    from tests.hostile.conftest import MakeBounded

SOON = 0.2
"""Seconds that the bounds under test are set to."""
HEALTH = b"GET /-/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
BIG = build_wheel("demo", "1.0", size_padding=12_000_000)
"""More than the kernel takes off the server's hands."""


def soon(**limits: float) -> Limits:
    return Limits(**({"look": SOON / 4, "linger": SOON} | limits))  # type: ignore[arg-type]


@pytest.mark.parametrize("begun", [b"", b"GET /-/health HT", b"GET /-/health HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_who_sends_no_whole_head_is_closed(make_bounded: MakeBounded, begun: bytes) -> None:
    server = await make_bounded(soon(head=SOON))
    async with server.connect() as client:
        await client.send(begun)
        assert await client.ended() == b""


async def test_a_head_that_drips_is_not_waited_for(make_bounded: MakeBounded) -> None:
    server = await make_bounded(soon(head=SOON))
    async with server.connect() as client:
        drips = asyncio.create_task(drip(client, b"GET / HTTP/1.1\r\nX: ", b"y"))
        assert await client.ended() == b""
        drips.cancel()


async def test_a_second_head_has_no_more_time_than_the_first(make_bounded: MakeBounded) -> None:
    server = await make_bounded(soon(head=SOON))
    async with server.connect() as client:
        await client.send(HEALTH)
        assert (await client.answer()).status == 200
        drips = asyncio.create_task(drip(client, b"GET / HTTP/1.1\r\nX: ", b"y"))
        assert await client.ended() == b""
        drips.cancel()


async def test_between_requests_a_connection_stays_longer_but_not_for_ever(make_bounded: MakeBounded) -> None:
    server = await make_bounded(soon(head=SOON, idle=4 * SOON))
    async with server.connect() as client:
        for _ in range(2):
            await client.send(HEALTH)
            assert (await client.answer()).status == 200
            await asyncio.sleep(2 * SOON)
        assert await client.ended() == b""


async def test_a_long_answer_is_no_idle_time(make_bounded: MakeBounded) -> None:
    server = await make_bounded(soon(head=SOON, idle=SOON))
    await publish(server, BIG)
    async with server.connect() as client:
        await client.send(b"GET " + link(BIG) + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(3 * SOON)
        async with asyncio.timeout(20):
            assert await client.reader.readexactly(len(BIG.data)) == BIG.data


async def test_a_head_of_many_lines_has_a_bound(make_bounded: MakeBounded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_HEAD", 1000)
    server = await make_bounded(soon())
    async with server.connect() as client:
        drips = asyncio.create_task(drip(client, b"GET / HTTP/1.1\r\n", b"X: " + b"y" * 100 + b"\r\n"))
        answer = await client.answer()
        drips.cancel()
        assert (answer.status, answer.headers["connection"]) == (431, "close")
        assert "header fields" in answer.told["message"]
        assert await client.ended() == b""


# Readers that do not read


PAGE = b"GET /simple/demo/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def test_pages_that_nobody_takes_are_given_up(make_bounded: MakeBounded) -> None:
    server = await make_bounded(soon(stall=SOON))
    await publish(server, *(build_wheel("demo", f"1.{minor}") for minor in range(30)))
    async with server.connect() as client:
        asking = asyncio.create_task(drip(client, b"", PAGE * 20, pause=0))
        await asyncio.wait_for(asking, 20)  # ends when the server has closed


async def test_pages_that_somebody_sips_are_given_up(make_bounded: MakeBounded) -> None:
    server = await make_bounded(soon(stall=2 * SOON))
    await publish(server, *(build_wheel("demo", f"1.{minor}") for minor in range(30)))
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", server.port))
        asking = asyncio.create_task(loop.sock_sendall(client, PAGE * 5000))
        async with asyncio.timeout(20):
            with suppress(ConnectionError):
                while await loop.sock_recv(client, 500):  # noqa: ASYNC110 - slow on purpose
                    await asyncio.sleep(SOON / 10)
        asking.cancel()
        await asyncio.wait({asking})


async def test_a_file_that_nobody_takes_is_given_up(
    make_bounded: MakeBounded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sendfile, "STALL", SOON)
    server = await make_bounded(soon())
    await publish(server, BIG)
    with caplog.at_level(logging.INFO, "proxy.access"):
        async with server.connect() as client:
            await client.send(b"GET " + link(BIG) + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            await eventually(lambda: "broken off" in caplog.text)
            assert not (await client.ended()).endswith(BIG.data[-100:])


async def test_a_file_on_its_way_from_upstream_that_nobody_takes_is_given_up(
    make_bounded: MakeBounded, index: FakeIndex, caplog: pytest.LogCaptureFixture
) -> None:
    server = await make_bounded(soon(stall=SOON), forwards_to(index))
    index.add_built("demo", BIG)
    with caplog.at_level(logging.INFO, "proxy.access"):
        async with server.connect() as client:
            await client.send(b"GET " + link(BIG) + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            await eventually(lambda: "broken off" in caplog.text)
    assert (await server.get(link(BIG).decode())).body == BIG.data


async def test_who_takes_nothing_for_minutes_may_be_honest(make_bounded: MakeBounded, index: FakeIndex) -> None:
    server = await make_bounded(Limits(look=600), forwards_to(index))
    index.add_built("demo", BIG)
    async with server.connect() as client:
        await client.send(b"GET " + link(BIG) + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        (connection,) = server.connections
        await eventually(lambda: unsent(connection) > 0)
        now = asyncio.get_running_loop().time()
        connection.look(now)
        connection.look(now + 240)
        assert server.connections
        connection.look(now + 600)
        await eventually(lambda: not server.connections)


def unsent(connection: Connection) -> int:
    return connection.transport.get_write_buffer_size() if connection.transport else 0


async def drip(client: Client, head: bytes, drops: bytes, *, pause: float = SOON / 10) -> None:
    """Send without end, until the server no longer listens."""
    client.writer.write(head)
    while True:
        client.writer.write(drops)
        try:
            await client.writer.drain()
        except ConnectionError:
            return
        await asyncio.sleep(pause)


def link(built: BuiltFile) -> bytes:
    return f"/files/{built.sha256}/{built.filename}".encode()


# No room


async def test_at_the_bound_the_longest_silent_gives_way(make_bounded: MakeBounded) -> None:
    server = await make_bounded(soon(connections=3))
    async with AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(server.connect()) for _ in range(3)]
        await asyncio.sleep(SOON)
        fresh = await stack.enter_async_context(server.connect())
        await fresh.send(HEALTH)
        assert (await fresh.answer()).status == 200
        assert await silent[0].ended() == b""
        for client in silent[1:]:
            await client.send(HEALTH)
            assert (await client.answer()).status == 200


async def test_who_was_answered_last_is_the_last_to_give_way(make_bounded: MakeBounded) -> None:
    server = await make_bounded(soon(connections=2))
    async with server.connect() as first, server.connect() as second:
        for client in (second, first):
            await client.send(HEALTH)
            assert (await client.answer()).status == 200
        await asyncio.sleep(SOON)
        async with server.connect() as third:
            await third.send(HEALTH)
            assert (await third.answer()).status == 200
        assert await second.ended() == b""
        await first.send(HEALTH)
        assert (await first.answer()).status == 200


async def test_where_all_are_answered_the_next_is_told_to_come_again(make_bounded: MakeBounded) -> None:
    server = await make_bounded(soon(connections=1))
    async with server.connect() as busy:
        await busy.send(b"POST /legacy/ HTTP/1.1\r\nHost: 127.0.0.1\r\n" + SLOW_FORM)
        await asyncio.sleep(SOON)
        refused = await server.raw(HEALTH)
        assert (refused.status, refused.headers["connection"]) == (503, "close")
        assert int(refused.headers["retry-after"]) > 0
        assert "too many connections" in refused.told["message"]
        assert refused.headers["x-request-id"]
    async with asyncio.timeout(20):
        while (await server.raw(HEALTH)).status != 200:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(SOON / 10)


async def test_who_was_answered_before_its_body_came_gives_way_too(make_bounded: MakeBounded) -> None:
    server = await make_bounded(soon(connections=1))
    async with server.connect() as waiting:
        await waiting.send(b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\n")
        assert (await waiting.answer()).status == 404
        await waiting.send(b"hello")
        await asyncio.sleep(SOON)
        assert (await server.raw(HEALTH)).status == 200


async def test_of_many_at_once_only_some_are_told(make_bounded: MakeBounded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_TURNED_AWAY", 1)
    server = await make_bounded(soon(connections=1, linger=20))
    async with server.connect() as busy, server.connect() as told, server.connect() as untold:
        assert (await told.answer()).status == 503
        assert await untold.ended() == b""
        await busy.send(HEALTH)
        assert (await busy.answer()).status == 200


async def test_a_thousand_silent_connections_keep_nobody_out(make_bounded: MakeBounded) -> None:
    server = await make_bounded(soon(connections=50))
    async with AsyncExitStack() as stack:
        for number in range(300):
            silent = await stack.enter_async_context(server.connect())
            await silent.send(b"GET / HTTP/1.1\r\nX: ")
            if number % 60 == 0:
                await asyncio.sleep(SOON)
                assert (await server.raw(HEALTH)).status == 200


SLOW_FORM = (
    b"Content-Type: multipart/form-data; boundary=xyz\r\nContent-Length: 1000000\r\n\r\n"
    b'--xyz\r\nContent-Disposition: form-data; name="content"; filename="demo-1.0.tar.gz"\r\n\r\nbegun'
)


# Uploads that drip


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "PATIENCE", SOON)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("drops", [b"", b"x"], ids=["silent", "dripping"])
@pytest.mark.parametrize("within", [0, 60, len(SLOW_FORM) - 90], ids=["at once", "in a part's head", "in the file"])
async def test_an_upload_that_nobody_sends_is_408_and_leaves_nothing(
    server: BoundedServer, drops: bytes, within: int
) -> None:
    head, blank, body = SLOW_FORM.partition(b"\r\n\r\n")
    async with server.connect() as client:
        begun = b"POST /legacy/ HTTP/1.1\r\nHost: 127.0.0.1\r\n" + head + blank + body[:within]
        await client.send(begun)
        drips = asyncio.create_task(drip(client, b"", drops))
        answer = await client.answer()
        drips.cancel()
    assert (answer.status, "slow" in answer.told["message"]) == (408, True)
    await eventually(lambda: kept_by(server.data_dir) == {"blobs": 0, "parts": 0})


async def test_an_upload_may_be_slow_and_steady(server: BoundedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "PATIENCE", 2 * SOON)
    monkeypatch.setattr(upload, "MIN_RATE", 10)
    wheel = build_wheel("demo", "1.0")
    content_type, body = upload_form("demo", "1.0", wheel)
    async with server.connect() as client:
        head = f"POST /legacy/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
        await client.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        step = len(body) // 10 + 1
        for at in range(0, len(body), step):
            await client.send(body[at : at + step])
            await asyncio.sleep(SOON / 2)
        assert (await client.answer()).status == 201
