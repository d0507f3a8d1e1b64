"""A page's detail as bytes.

One call of the decoder holds the interpreter lock from its first byte to its last: the 28 MB of a project with 60 000
files stop every thread, the event loop's too, for a quarter of a second. Files are therefore kept in chunks, each
coded by a call of its own. In a worker thread the lock can change hands between them, but in Python's own loops only:
`map` or `chain` over the chunks would be one call again.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from proxy.core.model import File, ProjectDetail

_CHUNK: Final = 256
"""Files; about a millisecond to decode."""

_SMALL: Final = 128 * 1024
"""Bytes; decoded sooner than a thread is reached."""


class BrokenDetail(Exception):
    """The bytes do not hold a detail as this version knows it."""


class _StoredDetail(msgspec.Struct, frozen=True, array_like=True):
    """`head` is the detail without its files; each of `chunks` encodes a tuple of files."""

    head: ProjectDetail
    chunks: tuple[bytes, ...]


_encoder = msgspec.msgpack.Encoder()
_stored_decoder = msgspec.msgpack.Decoder(_StoredDetail)
_chunk_decoder = msgspec.msgpack.Decoder(tuple[File, ...])


async def encode_detail(detail: ProjectDetail) -> bytes:
    if len(detail.files) <= _CHUNK:
        return _encode(detail)
    return await asyncio.to_thread(_encode, detail)


async def decode_detail(data: bytes) -> ProjectDetail:
    """The inverse; raises BrokenDetail."""
    if len(data) <= _SMALL:
        return _decode(data)
    return await asyncio.to_thread(_decode, data)


def _encode(detail: ProjectDetail) -> bytes:
    head = msgspec.structs.replace(detail, files=())
    starts = range(0, len(detail.files), _CHUNK)
    chunks = [_encoder.encode(detail.files[start : start + _CHUNK]) for start in starts]
    return _encoder.encode(_StoredDetail(head, tuple(chunks)))


def _decode(data: bytes) -> ProjectDetail:
    try:
        stored = _stored_decoder.decode(data)
        files = [file for chunk in stored.chunks for file in _chunk_decoder.decode(chunk)]
    except (msgspec.MsgspecError, ValueError) as error:
        raise BrokenDetail(str(error)) from error
    return msgspec.structs.replace(stored.head, files=tuple(files))
