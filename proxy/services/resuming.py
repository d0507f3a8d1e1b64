"""A file from its upstream, over as many connections as it takes: one that breaks is taken up again where it stands.

A broken connection, a server that stops sending and one that cannot be reached for a moment may pass. Another size
than promised, another range or a file that is gone do not: they end it at once. That the bytes are the right ones is
for whoever reads to verify, over all of them.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from proxy.core.archive import MAX_METADATA
from proxy.core.errors import UpstreamBroken, UpstreamTrouble
from proxy.core.ranges import ByteRange
from proxy.ports import Body

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from proxy.core.model import File
    from proxy.ports import Upstream

MAX_FILE = 16 * 1024**3
"""Bytes of a file whose size no page tells: four times the largest wheel known, and not a whole disk.

Core metadata, whose size is never told, has a bound of its own.
"""
PAUSES = (0.1, 0.5, 1.0, 2.0)
"""Seconds before each further connection while none brings a byte; after the last the upstream is given up."""
STALL = 10.0
"""Seconds after the last byte from which on no further connection is tried: pip gives up after 15, uv after 30."""
MAX_CONNECTIONS = 100
"""For one file, however little each brings: one that breaks every 10 MB brings a wheel of 1 GB all the same."""

_OTHER_RANGE = "sent another range than asked for"


@asynccontextmanager
async def open_resuming(
    upstream: Upstream, file: File, wanted: ByteRange | None = None, *, first: int = 0
) -> AsyncIterator[Body]:
    """The bytes of a file from `first` on, or of a range of it; their length is what the page or the answer promises.

    Raises NotFound, UpstreamTrouble where it cannot be opened; its chunks raise UpstreamTrouble when they cannot be
    had, and UpstreamBroken when they are more or fewer than promised.
    """
    async with AsyncExitStack() as connection:
        transfer = _Transfer(upstream, file, wanted, first)
        body = await transfer.open(connection)
        async with aclosing(transfer.chunks(body, connection)) as chunks:
            yield Body(transfer.left, chunks)


class _Transfer:
    """`_position` is the next byte, `_end` the one behind the last; None while nobody told it."""

    def __init__(self, upstream: Upstream, file: File, wanted: ByteRange | None, first: int) -> None:
        self._upstream = upstream
        self._file = file
        self._wanted = wanted
        self._position = wanted.first if wanted else first
        self._end = wanted.last + 1 if wanted else file.size
        self._most = MAX_METADATA if file.filename.endswith(".metadata") else MAX_FILE

    @property
    def left(self) -> int | None:
        return None if self._end is None else self._end - self._position

    async def open(self, connection: AsyncExitStack) -> Body:
        """A connection that brings what is left."""
        body = await connection.enter_async_context(self._ask())
        self._check(body)
        return body

    async def chunks(self, body: Body, connection: AsyncExitStack) -> AsyncGenerator[bytes, None]:
        patience = _Patience()
        while True:
            before = self._position
            try:
                async for chunk in body.chunks:
                    self._advance(len(chunk))
                    yield chunk
                if not self.left:
                    return
                failure: UpstreamTrouble = self._broken("sent less than it promised")
            except UpstreamBroken:
                raise
            except UpstreamTrouble as trouble:
                if self.left == 0:
                    return
                failure = trouble
            await connection.aclose()
            patience.note(progress=self._position > before)
            body = await self._reopen(connection, patience, failure)

    async def _reopen(self, connection: AsyncExitStack, patience: _Patience, failure: UpstreamTrouble) -> Body:
        """The next connection; raises the last failure where the patience is at its end."""
        while True:
            await asyncio.sleep(patience.pause(failure))
            try:
                return await self.open(connection)
            except UpstreamBroken:
                raise
            except UpstreamTrouble as trouble:
                failure = trouble

    def _ask(self) -> AbstractAsyncContextManager[Body]:
        if self._wanted:
            return self._upstream.open_file(self._file.url, ByteRange(self._position, self._wanted.last))
        if self._position == 0:
            return self._upstream.open_file(self._file.url)
        return self._upstream.open_rest(self._file.url, self._position, self._end)

    def _check(self, body: Body) -> None:
        """Learn the size where no page told it; raises UpstreamBroken for another than is known."""
        if body.length is None:
            return
        end = self._position + body.length
        if self._end is None and end > self._most:
            raise self._broken("offers a file without end")
        if self._end not in {None, end}:
            raise self._broken(_OTHER_RANGE if self._wanted else "offers another size than its page promises")
        self._end = end

    def _advance(self, size: int) -> None:
        self._position += size
        if self._end is None and self._position > self._most:
            raise self._broken("sent a file without end")
        if self._end is not None and self._position > self._end:
            raise self._broken(_OTHER_RANGE if self._wanted else "sent more than it promised")

    def _broken(self, what: str) -> UpstreamBroken:
        return UpstreamBroken(f"{self._file.filename}: the upstream {what}")


class _Patience:
    """How long a broken transfer is taken up again: what brings bytes renews it, though not for ever."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop()
        self._fruitless = 0
        self._connections = 1
        self._last_byte = self._clock.time()

    def note(self, *, progress: bool) -> None:
        """A connection has broken, having brought some bytes or none."""
        if progress:
            self._fruitless = 0
            self._last_byte = self._clock.time()

    def pause(self, failure: UpstreamTrouble) -> float:
        """Seconds to wait before the next connection; raises the failure where there is to be none."""
        waited = self._clock.time() - self._last_byte
        if self._fruitless == len(PAUSES) or self._connections == MAX_CONNECTIONS or waited > STALL:
            raise failure
        pause = max(PAUSES[self._fruitless], failure.retry_after or 0)
        if waited + pause > STALL:
            raise failure
        self._fruitless += 1
        self._connections += 1
        return pause
