"""What goes wrong below HTTP: connections that are reset, that speak something else, that never end a head."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fake_index.faults import Delivery, Gate

if TYPE_CHECKING:
    from tests.fake_index.exchange import Answer
    from tests.fake_index.wire import Wire


@dataclass(frozen=True)
class Reset(Delivery):
    """The connection is reset (RST) after `after` bytes of the body; None: before the head."""

    after: int | None = None

    @property
    def needs_body(self) -> bool:  # type: ignore[override]
        return self.after is not None

    async def deliver(self, wire: Wire, answer: Answer) -> None:
        if self.after is not None:
            await wire.start(answer)
            await wire.write(answer.body[: self.after])
        wire.reset()


class Snap(Gate):
    """A gate that breaks the connection off where it opens, so that all who are to see it can be there."""

    def __init__(self, after: int) -> None:
        super().__init__(after)

    async def deliver(self, wire: Wire, answer: Answer) -> None:
        await wire.start(answer)
        await wire.write(answer.body[: self.after])
        await self.passed()
        wire.drop()


@dataclass(frozen=True)
class NotHttp(Delivery):
    """Bytes that are no answer, and the end."""

    data: bytes = field(default=b"\x15\x03\x01\x00\x02\x02\x46" * 10, repr=False)
    needs_body = False

    async def deliver(self, wire: Wire, answer: Answer) -> None:  # noqa: ARG002 - none is given
        wire.send_raw(self.data)
        wire.drop()


@dataclass(frozen=True)
class EndlessHead(Delivery):
    """One header line after another, `delay` seconds apart, until the client leaves."""

    delay: float = 0.0
    needs_body = False

    async def deliver(self, wire: Wire, answer: Answer) -> None:  # noqa: ARG002 - it never begins
        wire.send_raw(b"HTTP/1.1 200 OK\r\n")
        while True:
            wire.send_raw(b"X-Filler: filler\r\n")
            await asyncio.sleep(self.delay)
