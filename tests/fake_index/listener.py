from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    import asyncio

    from aiohttp.web_protocol import RequestHandler

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_LOOPBACK = "127.0.0.1"
_GRACE = 0.05  # seconds for handlers whose connection is already gone; 0 would mean for ever


class Listener:
    """A port of our own that is either up (answers) or down (refuses connections), from construction to `close`.

    While down the port stays bound, so that neither another process nor an outgoing connection can take it.
    """

    def __init__(self, handler: Handler, on_connection: Callable[[], None]) -> None:
        self._handler = handler
        self._on_connection = on_connection
        self._socket = _bound(0)
        self._runner: web.ServerRunner | None = None
        self.netloc = f"{_LOOPBACK}:{self._socket.getsockname()[1]}"

    async def up(self) -> None:
        """Listen; does nothing while listening."""
        if self._runner is not None:
            return
        # handler_cancellation: a client that leaves ends its handler, even one that hangs.
        server = _Server(self._handler, handler_cancellation=True, access_log=None)
        server.on_connection = self._on_connection
        self._runner = web.ServerRunner(server, shutdown_timeout=_GRACE)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket, backlog=1024).start()

    async def down(self) -> None:
        """Stop listening and break off every connection; does nothing while down."""
        if self._runner is None:
            return
        port = self._socket.getsockname()[1]
        await _stop(self._runner)
        self._runner = None
        self._socket = _bound(port)

    async def close(self) -> None:
        if self._runner is not None:
            await _stop(self._runner)
        self._socket.close()


class _Server(web.Server):
    """Tells of each connection, whether a request comes over it or not."""

    on_connection: Callable[[], None]

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        self.on_connection()
        super().connection_made(handler, transport)


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((_LOOPBACK, port))
    return sock


async def _stop(runner: web.ServerRunner) -> None:
    for connection in runner.server.connections if runner.server else ():
        if connection.transport is not None:
            connection.transport.abort()  # a polite close would wait for a client that does not read
    await runner.cleanup()
