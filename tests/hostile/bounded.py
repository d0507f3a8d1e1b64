"""The server on connections that are bounded as `serve` bounds them, and clients that speak in bytes."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from proxy.web.connections import Connection, Connections, Limits
from tests.web.server import PATIENCE, Listener, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aiohttp import web
    from aiohttp.test_utils import TestServer

    from proxy.config import Config


class BoundedServer(Server):
    """As `Server`, with bounds on its connections."""

    def __init__(self, config: Config, limits: Limits) -> None:
        super().__init__(config)
        self._limits = limits

    def _listener(self, app: web.Application) -> TestServer:
        self.app = app
        return Listener(app, self._limits)

    @property
    def connections(self) -> frozenset[Connection]:
        """Those that are open."""
        listener = self._server.runner.server if self._server.runner else None
        assert isinstance(listener, Connections)
        return frozenset(listener._open)

    @property
    def port(self) -> int:
        return int(self.netloc.rpartition(":")[2])

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Client]:
        """A connection that says nothing yet."""
        async with Client(*await asyncio.open_connection("127.0.0.1", self.port)) as client:
            yield client

    async def raw(self, request: bytes) -> Raw:
        """The first answer to these bytes, of which no more than the server takes are sent."""
        async with self.connect() as client:
            await client.send(request)
            return await client.answer()

    async def get_raw(self, target: bytes, *headers: bytes) -> Raw:
        """The answer to a GET whose target and header lines are sent as they stand here."""
        lines = [b"GET " + target + b" HTTP/1.1", b"Host: " + self.netloc.encode(), b"Connection: close", *headers]
        return await self.raw(b"\r\n".join([*lines, b"", b""]))


@dataclass(frozen=True)
class Raw:
    """An answer as it came. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def told(self) -> dict[str, str]:
        told: dict[str, str] = json.loads(self.body)
        return told


class Client:
    """One connection; `async with` closes it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    async def send(self, data: bytes) -> None:
        """Send, as far as the server listens."""
        self.writer.write(data)
        try:
            async with asyncio.timeout(PATIENCE):
                await self.writer.drain()
        except ConnectionError:
            return

    async def answer(self) -> Raw:
        """The next answer; raises IncompleteReadError where the connection ends without one."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, *lines = head.rstrip("\r\n").split("\r\n")
            match = re.match(r"HTTP/[01]\.\d (\d{3})", status)
            assert match, head
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            return Raw(int(match[1]), headers, await self.reader.readexactly(int(headers.get("content-length", 0))))

    async def ended(self) -> bytes:
        """What still comes until the server closes; a reset is an end too."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.reader.read()
        except ConnectionError:
            return b""
