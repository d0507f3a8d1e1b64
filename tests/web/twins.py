"""One application behind two listeners, with the warm lane and without: the same request gets the same answer of both.

async with Twins(config) as twins:
    first = await twins.ask(GET_DEMO)       # over kept connections; raises AssertionError where the answers differ
    assert twins.warm_answers == 0
"""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from proxy.compose import compose
from proxy.web.connections import Limits
from proxy.web.warm import WarmLane
from tests.web.server import PATIENCE, Listener

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp.test_utils import TestServer

    from proxy.compose import Server
    from proxy.config import Config

_CHANGING = re.compile(rb"(?<=\r\n)(Date|X-Request-Id): [^\r]*")
_LENGTH = re.compile(rb"(?<=\r\nContent-Length: )\d+")


class Raw(NamedTuple):
    """An answer as it came over the wire."""

    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    @property
    def lasting(self) -> bytes:
        """All of it but what is another each time."""
        return _CHANGING.sub(rb"\1: *", self.head) + self.body

    def field(self, name: str) -> str | None:
        found = re.search(rb"\r\n" + name.encode() + rb": ([^\r]*)", self.head)
        return found and found[1].decode()


class Wire:
    """A connection that is kept, and opened again where the server has ended it."""

    def __init__(self, listener: TestServer) -> None:
        self._listener = listener
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, *pieces: bytes) -> Raw:
        """The answer to a request whose bytes are sent in these pieces, each heard by itself."""
        async with asyncio.timeout(PATIENCE):
            reader, writer = self._streams = self._streams or await self._open()
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.002 if len(pieces) > 1 else 0)
            return await self.read(reader)

    async def read(self, reader: asyncio.StreamReader | None = None) -> Raw:
        """The next answer."""
        assert self._streams
        reader = reader or self._streams[0]
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[0])) if length and b" 304 " not in head else b""
        if b"\r\nConnection: close" in head or (head.startswith(b"HTTP/1.0") and b"keep-alive" not in head):
            assert await reader.read() == b""
            self.close()
        return Raw(head, body)

    def send(self, data: bytes) -> None:
        assert self._streams
        self._streams[1].write(data)

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
        self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._listener.port)


class MakeTwins(Protocol):
    async def __call__(self, toml: str = "", /) -> Twins: ...


class Twins:
    def __init__(self, config: Config) -> None:
        self._config = config
        self.warm_answers = 0

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.server: Server = await stack.enter_async_context(compose(self._config))
            self.warm, self.slow = [await self._listen(stack, warm=warm) for warm in (True, False)]
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def ask(self, *pieces: bytes) -> Raw:
        """The answer that both give, of the warm one twice."""
        slow = await self.slow.ask(*pieces)
        for _ in range(2):
            warm = await self.warm.ask(*pieces)
            assert warm.lasting == slow.lasting
        return slow

    async def ask_each(self, requests: Iterable[bytes]) -> None:
        for request in requests:
            await self.ask(request)

    async def _listen(self, stack: AsyncExitStack, *, warm: bool) -> Wire:
        listener = Listener(self.server.app, Limits(), warm=warm)
        await listener.start_server(access_log=None, shutdown_timeout=0.1)
        stack.push_async_callback(listener.close)
        if warm:
            self._count(listener)
        wire = Wire(listener)
        stack.callback(wire.close)
        return wire

    def _count(self, listener: TestServer) -> None:
        """Count what the lane answers."""
        connections = listener.runner.server if listener.runner else None
        lane = getattr(connections, "warm", None)
        assert isinstance(lane, WarmLane)
        self.lane, answer = lane, lane.answer

        def count(head: bytes, remote: str) -> tuple[bytes, bytes] | None:
            given = answer(head, remote)
            self.warm_answers += given is not None
            return given

        lane.answer = count  # type: ignore[method-assign]


def get(path: str, *lines: str, version: str = "1.1") -> bytes:
    """The head of a GET."""
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: localhost", *lines, "", ""]).encode()
