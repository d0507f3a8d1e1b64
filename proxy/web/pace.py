"""How long a client may take to send a body."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from proxy.core.errors import TooSlow

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from aiohttp import StreamReader

T = TypeVar("T")


class Pace:
    """Patience with one body: so many seconds of waiting, of which each byte that comes gives some back.

    A client may pause for as long as `patience`, and may be slow for ever as long as it sends `min_rate` bytes a
    second. What the server itself takes to work on the bytes is not counted.
    """

    def __init__(self, body: StreamReader, patience: float, min_rate: float) -> None:
        self._body = body
        self._patience = self._left = patience
        self._min_rate = min_rate
        self._seen = 0

    async def wait(self, reading: Awaitable[T]) -> T:
        """What `reading` the body gives; raises TooSlow."""
        now = asyncio.get_running_loop().time
        started = now()
        try:
            async with asyncio.timeout(max(self._left, 0)):
                return await reading
        except TimeoutError as error:
            raise TooSlow("the body came too slowly; send it again over a better connection") from error
        finally:
            came, self._seen = self._body.total_bytes - self._seen, self._body.total_bytes
            self._left = min(self._left - (now() - started) + came / self._min_rate, self._patience)
