"""sendfile(2) to a client that must take what it asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from asyncio import Transport

SLICE = 1024 * 1024
STALL = 300.0
"""Seconds for a slice: the kernel tells nothing before it has taken one whole.

`curl --limit-rate` takes what it may in minutes at once, then nothing; and the kernels at both ends hold megabytes, of
which the client takes a good part before the next byte leaves here.
"""


async def send_file(transport: Transport, source: BinaryIO, first: int, length: int) -> int:
    """Let the kernel copy `length` bytes from `first`; how many there were. Raises TimeoutError, and any OSError."""
    loop, sent = asyncio.get_running_loop(), 0
    while sent < length:
        wanted = min(SLICE, length - sent)
        async with asyncio.timeout(STALL):
            copied = await loop.sendfile(transport, source, first + sent, wanted)
        sent += copied
        if copied < wanted:
            break
    return sent
