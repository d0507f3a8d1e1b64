from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fake_index.exchange import Answer

_PIECE = 64 * 1024


class Wire:
    """One answer on its way to the client: `start`, any number of `write`, then `end` or `drop`.

    What `start` announced need not be what `write` sends: that is how truncated answers are made.
    """

    def __init__(self, request: web.BaseRequest, on_sent: Callable[[int], None]) -> None:
        self.response = web.StreamResponse()
        self._request = request
        self._on_sent = on_sent
        self._bodiless = request.method == "HEAD"

    async def start(self, answer: Answer, *, chunked: bool = False) -> None:
        """Send the head, with the body's length unless `chunked`."""
        self._bodiless = self._bodiless or answer.status in {204, 304}
        self.response = web.StreamResponse(status=answer.status, headers=answer.headers)
        if chunked:
            self.response.enable_chunked_encoding()
        else:
            self.response.content_length = len(answer.body)
        await self.response.prepare(self._request)

    async def write(self, data: bytes) -> None:
        """Send and count bytes of the body; nothing where the answer has none (HEAD, 304)."""
        for offset in range(0, 0 if self._bodiless else len(data), _PIECE):
            piece = data[offset : offset + _PIECE]
            await self.response.write(piece)
            self._on_sent(len(piece))

    async def end(self) -> None:
        await self.response.write_eof()

    def send_raw(self, data: bytes) -> None:
        """Send bytes past HTTP. Nobody waits for the client to take them: keep them few."""
        if self._request.transport is not None:
            self._request.transport.write(data)

    def drop(self) -> None:
        """Close the connection here and now, without the answer's clean end."""
        if self._request.transport is not None:
            self._request.transport.close()

    def reset(self) -> None:
        """Break the connection off with RST: what the client has not read yet is lost to it."""
        if self._request.transport is not None:
            unsent_is_dropped = struct.pack("ii", 1, 0)  # on, 0 seconds
            connection = self._request.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, unsent_is_dropped)
            self._request.transport.abort()
