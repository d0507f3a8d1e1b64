"""What can go wrong, one value a kind.

A `Rewrite` changes what is said, a `Delivery` how it is sent; a request can meet one of each:

    Rewrite   Status, WrongType, HtmlError, InvalidJson, BrokenGzip, GzipBomb, WrongBytes, Redirect, RedirectLoop;
              OlderPage, ShorterPage (page_faults)
    Delivery  Refuse, Hang, Gate, Drip, Truncated, Endless; Reset, Snap, NotHttp, EndlessHead (connection_faults)

A fault that damages a body sees the request without its validators: there is nothing to damage in a 304.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.fake_index.exchange import Answer, Ask
from tests.fake_index.signals import Bulletin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.fake_index.wire import Wire

PATIENCE = 10.0  # seconds a test waits for what should happen at once

_MIB = 1024 * 1024
_JSON_TYPE = "application/vnd.pypi.simple.v1+json"


class Fault:
    """`needs_body`: the fault means nothing to a 304."""

    needs_body: bool = True


class Rewrite(Fault, ABC):
    @abstractmethod
    def rewrite(self, ask: Ask, answer: Answer) -> Answer:
        """What is answered in place of the honest answer."""


class Delivery(Fault, ABC):
    @abstractmethod
    async def deliver(self, wire: Wire, answer: Answer) -> None:
        """Send the answer, or what this fault makes of it."""


@dataclass(frozen=True)
class Status(Rewrite):
    """Any answer: `Status(429, {"Retry-After": "1"})`."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"out of order"

    def rewrite(self, ask: Ask, answer: Answer) -> Answer:  # noqa: ARG002 - neither matters
        return Answer(self.code, self.headers, self.body)


@dataclass(frozen=True)
class WrongType(Rewrite):
    """The right body under another Content-Type."""

    content_type: str = "application/octet-stream"

    def rewrite(self, ask: Ask, answer: Answer) -> Answer:  # noqa: ARG002 - for any request
        return replace(answer, headers={**answer.headers, "Content-Type": self.content_type})


@dataclass(frozen=True)
class HtmlError(Rewrite):
    """A gateway's error page that claims success."""

    body: bytes = b"<!DOCTYPE html><html><head><title>Sorry</title></head><body><h1>Back soon</h1></body></html>"

    def rewrite(self, ask: Ask, answer: Answer) -> Answer:  # noqa: ARG002 - neither matters
        return Answer(200, {"Content-Type": "text/html"}, self.body)


@dataclass(frozen=True)
class InvalidJson(Rewrite):
    body: bytes = b'{"meta": {"api-version": "1.4"}, "files": ['

    def rewrite(self, ask: Ask, answer: Answer) -> Answer:  # noqa: ARG002 - neither matters
        return Answer(200, {"Content-Type": _JSON_TYPE}, self.body)


@dataclass(frozen=True)
class BrokenGzip(Rewrite):
    """A gzip body whose first block has a type that does not exist (RFC 1951, 3.2.3)."""

    def rewrite(self, ask: Ask, answer: Answer) -> Answer:  # noqa: ARG002 - for any request
        zipped = answer.body if answer.headers.get("Content-Encoding") == "gzip" else gzip.compress(answer.body)
        header = 10  # bytes before the first block
        broken = zipped[:header] + b"\x07" + zipped[header + 1 :]
        return replace(answer, body=broken).with_headers(Content_Encoding="gzip")


@dataclass(frozen=True)
class GzipBomb(Rewrite):
    """A small gzip body that inflates to `mebibytes` of spaces."""

    mebibytes: int = 256

    def rewrite(self, ask: Ask, answer: Answer) -> Answer:  # noqa: ARG002 - for any request
        return replace(answer, body=_bomb(self.mebibytes)).with_headers(Content_Encoding="gzip")


@functools.cache
def _bomb(mebibytes: int) -> bytes:
    squeezer = zlib.compressobj(level=1, wbits=zlib.MAX_WBITS | 16)  # 16: a gzip header and trailer
    pieces = [squeezer.compress(b" " * _MIB) for _ in range(mebibytes)]
    return b"".join([*pieces, squeezer.flush()])


@dataclass(frozen=True)
class WrongBytes(Rewrite):
    """The right length with one wrong byte, by default the last."""

    at: int = -1

    def rewrite(self, ask: Ask, answer: Answer) -> Answer:  # noqa: ARG002 - for any request
        body = bytearray(answer.body)
        if body:
            body[self.at] ^= 0xFF
        return replace(answer, body=bytes(body))


@dataclass(frozen=True)
class Redirect(Rewrite):
    location: str
    code: int = 302

    def rewrite(self, ask: Ask, answer: Answer) -> Answer:  # noqa: ARG002 - neither matters
        return Answer(self.code, {"Location": self.location})


@dataclass(frozen=True)
class RedirectLoop(Rewrite):
    """Every path redirects to itself."""

    def rewrite(self, ask: Ask, answer: Answer) -> Answer:  # noqa: ARG002 - whatever was to be said
        return Answer(302, {"Location": ask.path})


@dataclass(frozen=True)
class Plain(Delivery):
    """No fault: the whole answer at once."""

    needs_body = False

    async def deliver(self, wire: Wire, answer: Answer) -> None:
        await wire.start(answer)
        await wire.write(answer.body)
        await wire.end()


@dataclass(frozen=True)
class Refuse(Delivery):
    """The request is read and the connection closed, with no answer."""

    needs_body = False

    async def deliver(self, wire: Wire, answer: Answer) -> None:  # noqa: ARG002 - none is given
        wire.drop()


@dataclass(frozen=True)
class Drip(Delivery):
    """The body in pieces of `size` bytes with `delay` seconds before each."""

    size: int = 1
    delay: float = 0.01

    async def deliver(self, wire: Wire, answer: Answer) -> None:
        await wire.start(answer)
        for offset in range(0, len(answer.body), self.size):
            await asyncio.sleep(self.delay)
            await wire.write(answer.body[offset : offset + self.size])
        await wire.end()


@dataclass(frozen=True)
class Truncated(Delivery):
    """The connection closes after `after` bytes of the body (half of it, unless told), short of what was announced:
    of its Content-Length or, when `chunked`, of the last chunk.
    """

    after: int | None = None
    chunked: bool = False

    async def deliver(self, wire: Wire, answer: Answer) -> None:
        after = len(answer.body) // 2 if self.after is None else self.after
        await wire.start(answer, chunked=self.chunked)
        await wire.write(answer.body[:after])
        wire.drop()


@dataclass(frozen=True)
class Endless(Delivery):
    """A chunked body that goes on until the client leaves, `delay` seconds between two pieces."""

    piece: bytes = field(default=b" " * 65536, repr=False)
    delay: float = 0.0

    async def deliver(self, wire: Wire, answer: Answer) -> None:
        await wire.start(answer, chunked=True)
        await wire.write(answer.body)
        while True:
            await wire.write(self.piece)
            await asyncio.sleep(self.delay)  # also for 0: a client that reads as fast must not stop the loop


class Gate(Delivery):
    """Sends the head and the first `after` bytes, then waits until the gate opens; `after=None` holds the head too.

    Once open it stays open. `open`, `arrived` and `block_until_waiting` are for any thread.
    """

    def __init__(self, after: int | None = 0) -> None:
        self.after = after
        self.needs_body = bool(after)
        self._arrived = 0
        self._opened = False
        self._bulletin = Bulletin()

    @property
    def arrived(self) -> int:
        """How many requests have come as far as the gate, waiting ones and those that have passed."""
        return self._arrived

    def open(self) -> None:
        self._opened = True
        self._bulletin.post()

    async def waiting(self, requests: int = 1, *, seconds: float = PATIENCE) -> None:
        """Until so many requests have reached the gate; raises TimeoutError after `seconds`."""
        await self._bulletin.until(lambda: self._arrived >= requests, seconds)

    def block_until_waiting(self, requests: int = 1, *, seconds: float = PATIENCE) -> None:
        """`waiting` for a thread without an event loop."""
        self._bulletin.block_until(lambda: self._arrived >= requests, seconds)

    async def deliver(self, wire: Wire, answer: Answer) -> None:
        sent = self.after or 0
        if self.after is not None:
            await wire.start(answer)
            await wire.write(answer.body[:sent])
        await self.passed()
        if self.after is None:
            await wire.start(answer)
        await wire.write(answer.body[sent:])
        await wire.end()

    async def passed(self) -> None:
        """Count as arrived, then wait until the gate is open."""
        self._arrived += 1
        self._bulletin.post()
        await self._bulletin.until(lambda: self._opened, None)


class Hang(Gate):
    """A gate that the test means to keep shut: no answer until the fault is cleared or the connection ends."""

    def __init__(self, after: int | None = None) -> None:
        super().__init__(after)
