"""Laws of the wire: any bytes of a client are answered below 500 or not at all, and the next one is served."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import load_config
from proxy.web.connections import Limits
from tests.builders import build_wheel
from tests.hostile.bounded import BoundedServer
from tests.web.uploads import publish

if TYPE_CHECKING:
    from collections.abc import Iterator

WHEEL = build_wheel("demo", "1.0")
LAST = b"GET /-/liveness HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
OFFLINE = "[forwarding]\nenabled = false\nlocked = true\n"

targets = st.lists(
    st.sampled_from(
        [
            *(
                b"/",
                b"/simple/",
                b"/simple/demo/",
                b"/legacy/",
                b"/-/health",
                b"/files/",
                b"/api/v4/projects/1/packages",
            ),
            *(b"/api/v4/groups/default/-/packages/pypi/simple/", b"/api/v4/projects/1/packages/pypi"),
            *(b"/package_files", b"/1", b"?page=-1", b"?page=9999999999999999999", b"&per_page=0", b"&order_by=x"),
            *(b"?format=", b"application/vnd.pypi.simple.v1+json", b"?private_token=x", b"&sort=;", b"#", b"*"),
            *(WHEEL.sha256.encode(), WHEEL.filename.encode(), b".metadata", b".provenance"),
            *(b"..", b"%2e%2e", b"%2f", b"%00", b"%", b"%zz", b"%ff", b"\\", b"//", b";", b"http://x", b"[", b" "),
        ]
    ),
    min_size=1,
    max_size=5,
).map(b"".join)
methods = st.sampled_from([b"GET", b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"get", b""])
header_names = st.sampled_from(
    [
        *(b"Accept", b"Accept-Encoding", b"Authorization", b"Private-Token", b"Deploy-Token", b"Range", b"If-Range"),
        *(b"If-None-Match", b"Host", b"Origin", b"Sec-Fetch-Site", b"X-Forwarded-For", b"Forwarded", b"Expect"),
        *(b"Connection", b"Upgrade", b"Content-Length", b"Transfer-Encoding", b"Content-Type", b"Content-Encoding"),
        *(b"Cookie", b"Te", b"Trailer", b"X Y", b""),
    ]
)
header_values = st.lists(
    st.sampled_from(
        [
            *(b"*/*", b"text/html", b";q=", b"0.5", b",", b"bytes=0-", b"bytes=-5", b"-", b"1", b'"', b"W/", b"*"),
            *(
                b"Basic ",
                b"Bearer ",
                b"dTpw",
                b"=",
                b"\xff",
                b"\xc3\xa9",
                b"chunked",
                b"gzip",
                b"100-continue",
                b"close",
            ),
            *(b"multipart/form-data; boundary=x", b"for=", b"127.0.0.1", b"[::1]", b"127.0.0.1:99999", b"keep-alive"),
            *(WHEEL.sha256.encode(), b"application/vnd.pypi.simple.v1+json", b"x" * 9000, b"\0", b"\t", b"5"),
        ]
    ),
    max_size=4,
).map(b"".join)
headers = st.lists(st.tuples(header_names, header_values).map(b": ".join), max_size=5)
bodies = st.sampled_from(
    [
        b"",
        b"hello",
        b"0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\r\n",
        b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\ndemo\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="content"; filename="a"\r\n\r\n',
        b"GET /-/health HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    start = (
        draw(methods) + b" " + draw(targets) + b" " + draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9", b""]))
    )
    lines = [start, b"Host: 127.0.0.1", *draw(headers)]
    return b"\r\n".join([*lines, b"", b""]) + draw(bodies)


class Wire:
    """A server that runs while it is asked."""

    def __init__(self, server: BoundedServer, runner: asyncio.Runner) -> None:
        self._server = server
        self._runner = runner

    def ask(self, data: bytes) -> bytes:
        """All that comes back for these bytes and a last request behind them.

        Where that is taken for the end of a body there is no answer: the wait is short.
        """
        return self._runner.run(self._ask(data))

    async def _ask(self, data: bytes) -> bytes:
        answers = bytearray()
        async with self._server.connect() as client:
            await client.send(data + LAST)
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(0.2):
                    while piece := await client.reader.read(2**16):
                        answers += piece
        return bytes(answers)


@contextmanager
def wire() -> Iterator[Wire]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        config_file = directory / "config.toml"
        config_file.write_text(OFFLINE)
        runner = stack.enter_context(asyncio.Runner())
        services = AsyncExitStack()
        stack.callback(lambda: runner.run(services.aclose()))

        async def start() -> BoundedServer:
            config = load_config(config_file, {}, server={"data_dir": str(directory / "data")})
            server = await services.enter_async_context(BoundedServer(config, Limits(linger=0.05)))
            await publish(server, WHEEL)
            return server

        yield Wire(runner.run(start()), runner)


def check(answer: bytes) -> None:
    for status in re.findall(rb"^HTTP/\d\.\d (\d{3})", answer, re.MULTILINE):
        assert int(status) < 500, answer
    assert b"Traceback" not in answer


@pytest.fixture(scope="module")
def running() -> Iterator[Wire]:
    with wire() as running:
        yield running


@given(data=st.lists(requests(), min_size=1, max_size=3).map(b"".join))
def test_any_request_is_answered_below_500(running: Wire, data: bytes) -> None:
    check(running.ask(data))
    assert b" 200 OK\r\n" in running.ask(b"")


@given(data=requests(), edits=st.lists(st.tuples(st.integers(0, 500), st.binary(max_size=3)), min_size=1, max_size=4))
def test_any_bytes_are_answered_below_500(running: Wire, data: bytes, edits: list[tuple[int, bytes]]) -> None:
    changed = bytearray(data)
    for place, piece in edits:
        at = place % (len(changed) + 1)
        changed[at : at + len(piece)] = piece
    check(running.ask(bytes(changed)))
    assert b" 200 OK\r\n" in running.ask(b"")
