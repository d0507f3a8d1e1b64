"""Requests that are no HTTP, or HTTP that two programs could read in two ways: one answer, in words, and an end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from proxy.web import middleware
from proxy.web.connections import Limits
from tests.builders import build_wheel
from tests.e2e.wire import upload_form
from tests.web.server import TEXT, eventually, kept_by
from tests.web.uploads import publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.bounded import BoundedServer, Client
    from tests.hostile.conftest import MakeBounded

HOST = b"Host: 127.0.0.1\r\n"
WHEEL = build_wheel("demo", "1.0")
SECRET = "glpat-not-for-the-log"


def get(target: bytes, *lines: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"POST /legacy/ HTTP/1.1\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked"
SMUGGLED = get(b"/smuggled")
NO_HTTP = {
    "no request line": b"nonsense\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version to come": b"GET /simple/ HTTP/9.9\r\n" + HOST + b"\r\n",
    "an unknown method": b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method in lower case": b"get / HTTP/1.1\r\n" + HOST + b"\r\n",
    "no version": b"GET /-/health\r\n\r\n",
    "the version before the first": b"GET /-/health HTTP/0.9\r\n\r\n",
    "no path": get(b"*"),
    "no slash": get(b"simple/"),
    "a target with a broken host": get(b"http://[::1/simple/"),
    "a target with a broken port": get(b"http://example.com:99999999/simple/"),
    "a megabyte of target": get(b"/" + b"a" * 1_000_000),
    "a long header": get(b"/", b"X: " + b"y" * 65_536),
    "a long header name": get(b"/", b"x" * 65_536 + b": y"),
    "many headers": get(b"/", *[b"X: y"] * 10_000),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": get(b"/", b"Host: elsewhere"),
    "a folded header": get(b"/", b"X: a", b" b"),
    "bare line feeds": b"GET / HTTP/1.1\nHost: x\n\n",
    "bare carriage returns": b"GET / HTTP/1.1\rHost: x\r\r",
    "a space before a colon": get(b"/", b"X : y"),
    "a space in a header's name": get(b"/", b"X Y: z"),
    "nul in a header": get(b"/", b"X: a\0b"),
    "nul in a target": get(b"/simple/\0"),
    "an escape in a target": get(b"/simple/\x1b[2J"),
    "bytes above ascii in a target": get(b"/simple/\xff"),
    "a line separator in a target": get("/simple/\u2028".encode()),
    "a negative length": post(b"Content-Length: -1"),
    "a signed length": post(b"Content-Length: +5", body=b"hello"),
    "an endless length": post(b"Content-Length: 99999999999999999999999"),
    "two lengths": post(b"Content-Length: 1", b"Content-Length: 2", body=b"xy"),
    "one length twice": post(b"Content-Length: 2", b"Content-Length: 2", body=b"xy"),
    "a list of lengths": post(b"Content-Length: 2, 2", body=b"xy"),
    "a length and chunks": post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n" + SMUGGLED),
    "chunks and a length": post(CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n" + SMUGGLED),
    "an unknown coding": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + SMUGGLED),
    "chunks that are not last": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + SMUGGLED),
    "chunks twice": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n" + SMUGGLED),
    "chunks of no number": post(CHUNKED, body=b"zz\r\nhello\r\n0\r\n\r\n"),
    "chunks of a negative number": post(CHUNKED, body=b"-1\r\nhello\r\n0\r\n\r\n"),
    "a chunk beyond all bounds": post(CHUNKED, body=b"f" * 18 + b"\r\nhello\r\n0\r\n\r\n"),
    "a chunk that does not end": post(CHUNKED, body=b"5\r\nhello, world\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("request_", NO_HTTP.values(), ids=NO_HTTP)
async def test_what_is_no_http_is_400_in_words_and_the_end(server: BoundedServer, request_: bytes) -> None:
    async with server.connect() as client:
        await client.send(request_)
        answer = await client.answer()
        assert answer.status == 400
        assert answer.told["message"].startswith("400 Bad request - ")
        assert answer.headers["x-request-id"]
        assert answer.headers["content-type"].startswith("application/json")
        assert "aiohttp" not in str(answer.headers).lower()
        assert b"HTTP/" not in await client.ended()  # what follows is not taken for a request


READABLE = {
    "http/1.0": (b"GET /-/health HTTP/1.0\r\n\r\n", 200),
    "an absolute target": (get(b"http://elsewhere.example/-/health"), 200),
    "connect": (b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "connect to a path": (b"CONNECT /simple/ HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "options of all": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "trace": (b"TRACE / HTTP/1.1\r\n" + HOST + b"X: echoed\r\n\r\n", 405),
    "two slashes": (get(b"//elsewhere.example/simple"), 404),
    "two slashes and a bracket": (get(b"//["), 404),
    "a websocket": (get(b"/-/health", b"Connection: Upgrade", b"Upgrade: websocket"), 200),
    "http/2 by upgrade": (get(b"/-/health", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"), 200),
    "a body that nobody reads": (get(b"/-/health", b"Content-Length: 5") + b"hello", 200),
    "a fragment": (get(b"/-/health#x"), 200),
    "chunks to 1.0": (b"POST /legacy/ HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n\r\n0\r\n\r\n", 400),
    "a long extension of a chunk": (post(CHUNKED, body=b"5;" + b"x" * 60_000 + b"\r\nhello\r\n0\r\n\r\n"), 400),
    "neither a length nor chunks": (post(b"Content-Type: multipart/form-data; boundary=x"), 400),
    "a trailer": (post(CHUNKED, body=b"0\r\nAuthorization: Bearer x\r\n\r\n"), 400),
    "a compressed upload": (
        post(b"Content-Type: multipart/form-data; boundary=x", b"Content-Encoding: gzip", b"Content-Length: 5")
        + b"hello",
        400,
    ),
}


@pytest.mark.parametrize(("request_", "status"), READABLE.values(), ids=READABLE)
async def test_what_is_odd_has_an_answer_too(server: BoundedServer, request_: bytes, status: int) -> None:
    answer = await server.raw(request_)
    assert answer.status == status
    assert b"echoed" not in answer.body
    assert answer.headers["x-request-id"]


async def test_pipelined_requests_are_answered_in_order(server: BoundedServer) -> None:
    paths = [b"/-/health", b"/nowhere", b"/simple/"] * 40
    async with server.connect() as client:
        await client.send(b"".join(get(path, b"Accept: application/json") for path in paths))
        assert [(await client.answer()).status for _ in paths] == [200, 404, 406] * 40


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("times", [1, 3])
async def test_who_asked_and_then_only_listens_is_answered(server: BoundedServer, version: bytes, times: int) -> None:
    await publish(server, WHEEL)
    paths = (b"/-/health", b"/simple/demo/", f"/files/{WHEEL.sha256}/{WHEEL.filename}".encode())
    lines = b" HTTP/" + version + b"\r\n" + HOST + b"Connection: keep-alive\r\n\r\n"
    for path in paths:
        async with server.connect() as client:
            await client.send((b"GET " + path + lines) * times)
            client.writer.write_eof()
            assert [(await client.answer()).status for _ in range(times)] == [200] * times
            assert await client.ended() == b""


async def test_an_upload_whose_sender_then_only_listens_is_answered(server: BoundedServer) -> None:
    content_type, body = upload_form("demo", "1.0", WHEEL)
    async with server.connect() as client:
        head = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}".encode()
        await client.send(post(head, body=body))
        client.writer.write_eof()
        assert (await client.answer()).status == 201


@pytest.mark.parametrize("sent", [b"", b"GET / HT", post(b"Content-Length: 5", body=b"hell")])
async def test_who_ends_before_all_is_said_is_not_waited_for(server: BoundedServer, sent: bytes) -> None:
    async with server.connect() as client:
        await client.send(sent)
        client.writer.write_eof()
        async with asyncio.timeout(5):
            await client.ended()


async def test_what_follows_an_upload_is_the_next_request(server: BoundedServer) -> None:
    content_type, body = upload_form("demo", "1.0", WHEEL)
    head = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}".encode()
    async with server.connect() as client:
        await client.send(post(head, body=body) + get(b"/-/health"))
        assert [(await client.answer()).status for _ in range(2)] == [201, 200]


async def test_an_upload_in_chunks_is_as_good(server: BoundedServer) -> None:
    content_type, body = upload_form("demo", "1.0", WHEEL)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(body[i : i + 99]), body[i : i + 99]) for i in range(0, len(body), 99))
    answer = await server.raw(post(f"Content-Type: {content_type}".encode(), CHUNKED, body=chunks + b"0\r\n\r\n"))
    assert answer.status == 201
    assert (await server.get(f"/files/{WHEEL.sha256}/{WHEEL.filename}")).body == WHEEL.data


async def test_the_log_has_the_id_of_a_bad_request_and_nothing_of_its_words(
    server: BoundedServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = await server.raw(b"GET /" + SECRET.encode() + b"\x1b HTTP/1.1\r\n\r\n")
    (line,) = (line for line in caplog.messages if answer.headers["x-request-id"] in line)
    assert "127.0.0.1" in line
    assert SECRET not in caplog.text


async def test_a_fault_outside_the_application_is_told_as_any_other(
    server: BoundedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> str:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(middleware, "new_id", fail)
    answer = await server.raw(get(b"/-/health"))
    assert (answer.status, answer.told) == (500, {"message": "500 Internal Server Error"})
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert answer.headers["x-request-id"] in record.getMessage()
    assert record.exc_info


# Expect: 100-continue


async def begin_upload(client: Client, *lines: bytes) -> Callable[[], bytes]:
    """Send the head of an upload that waits to be asked; what gives its body."""
    content_type, body = upload_form("demo", "1.0", WHEEL)
    head = (f"Content-Type: {content_type}".encode(), f"Content-Length: {len(body)}".encode(), *lines)
    await client.send(post(*head, b"Expect: 100-continue"))
    return lambda: body


async def test_who_may_upload_is_asked_for_the_body(server: BoundedServer) -> None:
    async with server.connect() as client:
        body = await begin_upload(client)
        assert (await client.answer()).status == 100
        await client.send(body())
        assert (await client.answer()).status == 201


@pytest.mark.parametrize(
    ("lines", "status"), [((), 401), ((b"Private-Token: wrong",), 401), ((b"Origin: https://evil.example",), 403)]
)
async def test_who_may_not_is_told_before_the_body(
    make_bounded: MakeBounded, lines: tuple[bytes, ...], status: int
) -> None:
    server = await make_bounded(Limits(), '[access]\nanonymous = "read"\n')
    async with server.connect() as client:
        await begin_upload(client, *lines)
        assert (await client.answer()).status == status
    await eventually(lambda: kept_by(server.data_dir) == {"blobs": 0, "parts": 0})


async def test_what_is_no_form_is_refused_before_the_body(server: BoundedServer) -> None:
    answer = await server.raw(post(b"Content-Type: text/plain", b"Content-Length: 5", b"Expect: 100-continue"))
    assert answer.status == 400


@pytest.mark.parametrize("target", [b"/simple/", b"/-/health", b"/simple/nope/"])
async def test_who_sends_no_body_is_not_asked_for_one(server: BoundedServer, target: bytes) -> None:
    assert (await server.raw(get(target, b"Expect: 100-continue"))).status in {200, 404}


@pytest.mark.parametrize("target", [b"/simple/", b"/nowhere", b"/legacy/"])
async def test_no_other_expectation_is_met(server: BoundedServer, target: bytes) -> None:
    answer = await server.raw(get(target, b"Expect: the-impossible"))
    assert answer.status == 417
    assert answer.headers["x-request-id"]


async def test_an_old_client_does_not_wait_to_be_asked(server: BoundedServer) -> None:
    content_type, body = upload_form("demo", "1.0", WHEEL)
    lines = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    answer = await server.raw(b"POST /legacy/ HTTP/1.0\r\n" + HOST + lines.encode() + body)
    assert answer.status == 201


# HTML


@pytest.mark.parametrize(
    ("path", "status"), [("/simple/", 200), ("/simple/demo/", 200), ("/nowhere", 404), ("/simple/x/", 404)]
)
async def test_a_page_lets_a_browser_run_nothing(server: BoundedServer, path: str, status: int) -> None:
    await publish(server, WHEEL)
    answer = await server.get(path, Accept=TEXT)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
