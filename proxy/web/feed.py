"""A long answer of the warm lane: it leaves in pieces, as its client takes them.

Nothing is read from the client meanwhile: what it asks next is answered behind this, in its turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

PIECE: Final = 512 * 1024
"""Bytes that are written in one turn of the loop: a fraction of a millisecond."""


class Feed:
    """Writes `body` to `wire` until it is out or the wire is gone, and calls `on_end` then."""

    def __init__(
        self, wire: asyncio.Transport, loop: asyncio.AbstractEventLoop, body: bytes, on_end: Callable[[], None]
    ) -> None:
        self._wire = wire
        self._loop = loop
        self._rest = memoryview(body)
        self._on_end = on_end
        self._paused = False
        wire.pause_reading()

    def pause(self) -> None:
        """The client takes no more for now."""
        self._paused = True

    def go_on(self) -> None:
        """Write the next piece, and so on."""
        self._paused = False
        piece, self._rest = self._rest[:PIECE], self._rest[PIECE:]
        if not self._wire.is_closing():
            self._wire.write(piece)
        if not self._rest or self._wire.is_closing():
            self._wire.resume_reading()
            self._on_end()
        elif not self._paused:
            self._loop.call_soon(self.go_on)
