"""A page's detail as bytes: its head, then its files in chunks, compressed.

A long page is kept in the chunks that it is packed in (core.packed). One call of the decoder for all would hold the
interpreter lock from its first byte to its last: the 28 MB of a project with 60 000 files would stop every thread, the
event loop's too, for a quarter of a second.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from proxy.core.compress import zstd
from proxy.core.model import File, ProjectDetail
from proxy.core.packed import Chunk, PackedFiles, pack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SMALL: Final = 32 * 1024
"""Bytes; decoded sooner than a thread is reached."""
_FEW: Final = 200
"""Files; encoded sooner than a thread is reached."""
_LEVEL: Final = 1
_MAGIC: Final = b"\x28\xb5\x2f\xfd"  # a zstd frame; what was kept by versions that did not compress begins otherwise
_ARRAY_OF_TWO, _ARRAY_32 = b"\x92", b"\xdd"  # MessagePack's heads of arrays


class BrokenDetail(Exception):
    """The bytes do not hold a detail as this version knows it."""


class _StoredDetail(msgspec.Struct, frozen=True, array_like=True):
    """`head` is the detail without its files; bytes among `chunks` encode a tuple of files."""

    head: ProjectDetail
    chunks: tuple[Chunk | bytes, ...]


_encoder = msgspec.msgpack.Encoder()
_stored_decoder = msgspec.msgpack.Decoder(_StoredDetail)
_files_decoder = msgspec.msgpack.Decoder(tuple[File, ...])


async def encode_detail(detail: ProjectDetail) -> bytes:
    if len(detail.files) <= _FEW:
        return _encode(detail)
    return await asyncio.to_thread(_encode, detail)


async def decode_detail(data: bytes) -> ProjectDetail:
    """The inverse; raises BrokenDetail."""
    if len(data) <= _SMALL:
        return _decode(data)
    return await asyncio.to_thread(_decode, data)


def _encode(detail: ProjectDetail) -> bytes:
    compressor = zstd.ZstdCompressor(_LEVEL)
    compressed = [compressor.compress(part) for part in _parts(detail)]
    return b"".join((*compressed, compressor.flush()))


def _parts(detail: ProjectDetail) -> Iterator[bytes]:
    """A _StoredDetail, never as a whole in memory."""
    files = detail.files
    chunks: Sequence[Chunk | bytes]
    chunks = files.chunks if isinstance(files, PackedFiles) else [_encoder.encode(files)]
    yield _ARRAY_OF_TWO + _encoder.encode(msgspec.structs.replace(detail, files=()))
    yield _ARRAY_32 + len(chunks).to_bytes(4)
    yield from map(_encoder.encode, chunks)


def _decode(data: bytes) -> ProjectDetail:
    try:
        stored = _stored_decoder.decode(zstd.decompress(data) if data.startswith(_MAGIC) else data)
        return msgspec.structs.replace(stored.head, files=_unite(stored.chunks))
    except (msgspec.MsgspecError, ValueError, zstd.ZstdError) as error:
        raise BrokenDetail(str(error)) from error


def _unite(chunks: Sequence[Chunk | bytes]) -> Sequence[File]:
    """The files; raises ValueError where a chunk is not what it was: it is found out now, not by who renders it."""
    packed = [chunk for chunk in chunks if isinstance(chunk, Chunk)]
    if any(len(chunk.unpack()) != len(chunk) for chunk in packed):
        raise ValueError("a chunk has other files than it says")
    if packed:
        return PackedFiles(packed)
    return pack(file for chunk in chunks if isinstance(chunk, bytes) for file in _files_decoder.decode(chunk))
