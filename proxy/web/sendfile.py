"""sendfile(2) to a client that must take what it asked for."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from asyncio import Transport
    from typing import BinaryIO

SLICE: Final = 1024 * 1024
LONG_SLICE: Final = 4 * SLICE
"""For a client that takes them fast: fewer slices cost less, and one that the kernel takes whole stops all others for
no longer than a millisecond or two."""
FAST: Final = 0.25
"""Seconds for a slice, in which it earns a longer one."""
STALL = 300.0
"""Seconds for a client to take `MIN_TAKEN` bytes: of a slice, the kernel tells only when it has taken it whole.

`curl --limit-rate` takes what it may in minutes at once, then nothing; and the kernels at both ends hold megabytes, of
which the client takes a good part before the next byte leaves here.
"""
MIN_TAKEN: Final = SLICE
"""Bytes. Where the kernel does not tell how many the client has, each slice has so many and is to be taken whole."""

_BYTES_ACKED: Final = slice(120, 128)
"""`tcpi_bytes_acked` in Linux's `struct tcp_info` (tcp(7)): what the other side has confirmed of this connection."""


async def send_file(transport: Transport, source: BinaryIO, first: int, length: int) -> int:
    """Let the kernel copy `length` bytes from `first`; how many there were. Raises TimeoutError, and any OSError."""
    now = asyncio.get_running_loop().time
    sent, size = 0, SLICE
    while sent < length:
        began, wanted = now(), min(size, length - sent)
        copied = await _send_slice(transport, source, first + sent, wanted)
        sent += copied
        if copied < wanted:
            break
        size = LONG_SLICE if now() - began < FAST and _taken(transport) is not None else SLICE
    return sent


async def _send_slice(transport: Transport, source: BinaryIO, first: int, length: int) -> int:
    sending = asyncio.ensure_future(asyncio.get_running_loop().sendfile(transport, source, first, length))
    try:
        before = _taken(transport)
        while not (await asyncio.wait({sending}, timeout=STALL))[0]:
            taken = _taken(transport)
            if before is None or taken is None or taken - before < MIN_TAKEN:
                raise TimeoutError("the client does not take what it asked for")
            before = taken
        return sending.result()
    finally:
        if not sending.done():  # whoever comes next has the file and the connection to himself
            sending.cancel()
            await asyncio.wait({sending})


def _taken(transport: Transport) -> int | None:
    """How many bytes the client has confirmed on this connection so far; None where the kernel does not tell."""
    if sys.platform != "linux":
        return None
    connection = cast("socket.socket", transport.get_extra_info("socket"))
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.stop)[_BYTES_ACKED]
    except OSError:
        return None
    return int.from_bytes(told, sys.byteorder) if len(told) == _BYTES_ACKED.stop - _BYTES_ACKED.start else None
