"""One file on its way into the cache, as those see it who follow it.

Followers read its part by offset, each at its own pace; who keeps up has the latest bytes from memory. The last
HOLD_BACK bytes are released when the digest agrees, so that nobody ever holds a whole file that is wrong. When it does
not, the part is dropped and every follower is cut off.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from proxy.core.errors import StorageTrouble

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from proxy.core.errors import SidecarError
    from proxy.core.ranges import ByteRange
    from proxy.services.listings import UpstreamFile

logger = logging.getLogger(__name__)

HOLD_BACK = 1024
"""Bytes kept from followers until the digest is known to be right."""
SMALL = 16 * 1024
"""A file of at most so many bytes is kept back whole: it costs no time, and what is wrong becomes an error answer."""
READ_SIZE = 256 * 1024


class ReadablePart(Protocol):
    """What a download's bytes are read from; it is closed with it."""

    async def read(self, offset: int, size: int) -> bytes: ...

    async def close(self) -> None: ...


class Download:
    """One file on its way. `length` is known when the download is opened, None where nobody told it."""

    def __init__(self, file: UpstreamFile, part: ReadablePart | None = None) -> None:
        self.file = file
        self.length = file.file.size
        self._part = part
        self._received = 0
        self._latest = b""  # what came last: most followers are there, and need not ask the disk
        self._readable = 0
        self._answered = False
        self._complete = False
        self._failure: SidecarError | None = None
        self._holders = 0
        self._changed = asyncio.Event()

    @property
    def readable(self) -> int:
        """How many bytes from the start followers may have by now."""
        return self._readable

    @property
    def complete(self) -> bool:
        """Whether all of it is here and verified."""
        return self._complete

    @property
    def failed(self) -> bool:
        """Whether it has ended and nothing is kept."""
        return self._failure is not None

    async def answered(self) -> None:
        """Wait until the upstream begins to send; raises its trouble where it does not."""
        while not (self._answered or self._complete or self._failure):
            await self._changed.wait()
        if self._failure and not self._answered:
            raise self._failure

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep its bytes readable, also after the end and where the blob is evicted."""
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            self._wake()

    async def follow(self, wanted: ByteRange | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes (of a range) as they arrive; raises the download's failure, the last byte still to come.

        Whoever follows holds it meanwhile.
        """
        offset, end = (wanted.first, wanted.last + 1) if wanted else (0, None)  # the end of the whole is its commit
        while end is None or offset < end:
            await self._reach(offset)
            if self._readable <= offset:
                return
            stop = self._readable if end is None else min(end, self._readable)
            chunk = await self.read(offset, stop - offset)
            offset += len(chunk)
            yield chunk

    async def read(self, offset: int, size: int) -> bytes:
        """Some of at most `size` bytes from `offset`, for who holds it and was sent them; raises StorageTrouble."""
        first = offset - (self._received - len(self._latest))
        if 0 <= first < len(self._latest):
            return self._latest[first : first + min(READ_SIZE, size)]
        chunk = await self._part.read(offset, min(READ_SIZE, size)) if self._part else b""
        if not chunk:
            raise StorageTrouble("bytes that were written cannot be read again")
        return chunk

    def has(self, part: ReadablePart) -> bool:
        """Whether its bytes are read from this part, which it closes."""
        return self._part is part

    def begin(self, part: ReadablePart, length: int | None) -> None:
        """The upstream sends: its bytes, of which there will be `length`, come into `part`."""
        self._part, self.length = part, length
        self._answered = True
        self._wake()

    def receive(self, data: bytes) -> None:
        """The next bytes are here, and in the part."""
        self._latest = data
        self._received += len(data)
        self.advance(self._received)

    def advance(self, received: int) -> None:
        """So many bytes are here: all but the last of them may be had."""
        readable = received - hold_back(self.length)
        if readable > self._readable:
            self._readable = readable
            self._wake()

    def finish(self, size: int) -> None:
        """All of it, so many bytes, is here and verified."""
        self._readable = size
        self._complete = True
        self._wake()

    def end(self, failure: SidecarError) -> None:
        """What is not complete has failed: cut every follower off."""
        if not self._complete:
            self._failure = failure
            self._wake()

    async def close(self) -> None:
        """Give the part up, when the last holder has left."""
        try:
            while self._holders:
                await self._changed.wait()
        finally:
            if self._part is not None:
                await asyncio.shield(self._discard(self._part))  # also where this task is being ended

    async def _discard(self, part: ReadablePart) -> None:
        try:
            await part.close()
        except StorageTrouble as error:
            logger.warning("a part stays until it is swept: %s", error)

    async def _reach(self, offset: int) -> None:
        """Wait until there is a byte at `offset`, or the end."""
        while self._failure is None and self._readable <= offset and not self._complete:
            await self._changed.wait()
        if self._failure:
            raise self._failure

    def _wake(self) -> None:
        """Wake all who wait now; who comes later waits for the next change."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def hold_back(length: int | None) -> int:
    """How many bytes of a file stay behind until it is verified; `length` None: nobody told how long it is."""
    return SMALL if length is not None and length <= SMALL else HOLD_BACK
