"""Bytes out of files and compressed streams, a piece at a time: memory holds one piece, however large the archive.

A stream must be whole: one that ends early, or that is followed by something, is refused. What comes after its end is
read by some programs and not by others.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import TYPE_CHECKING, Protocol

from proxy.core.errors import BadArchive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

PIECE = 64 * 1024
_XZ_MEMORY = 128 * 1024 * 1024  # twice what `xz -9` needs; the stream itself says how much it wants


class Decompressor(Protocol):
    """What `bz2` and `lzma` offer."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Deflate:
    """zlib's decompressor as a Decompressor: it keeps the input that it has not come to yet."""

    def __init__(self, wbits: int) -> None:
        self._zlib = zlib.decompressobj(wbits)

    @classmethod
    def raw(cls) -> Deflate:
        """Of a zip's members, which have their checksum outside (RFC 1951)."""
        return cls(-zlib.MAX_WBITS)

    @classmethod
    def gzip(cls) -> Deflate:
        """Of a gzip file; zlib compares its checksum and length (RFC 1952)."""
        return cls(zlib.MAX_WBITS + 16)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def bzip2() -> Decompressor:
    return bz2.BZ2Decompressor()


def xz() -> Decompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


def size_of(file: BinaryIO) -> int:
    return file.seek(0, 2)


def read_exactly(file: BinaryIO, size: int) -> bytes:
    """The next `size` bytes, which should be few; raises BadArchive when the file ends before."""
    data = file.read(size)
    if len(data) != size:
        raise BadArchive("the archive is truncated")
    return data


def read_pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The next `size` bytes, however many; raises BadArchive when the file ends before."""
    while size:
        piece = read_exactly(file, min(size, PIECE))
        size -= len(piece)
        yield piece


def inflate(pieces: Iterable[bytes], decompressor: Decompressor) -> Iterator[bytes]:
    """What `pieces` hold, compressed as one stream; raises BadArchive unless it ends exactly where they do."""
    for piece in pieces:
        if decompressor.eof:
            raise BadArchive("data follows the end of a compressed stream")
        yield from _inflate_piece(piece, decompressor)
    if not decompressor.eof:
        raise BadArchive("the archive is truncated")
    if decompressor.unused_data:
        raise BadArchive("data follows the end of a compressed stream")


def _inflate_piece(data: bytes, decompressor: Decompressor) -> Iterator[bytes]:
    while not decompressor.eof:
        try:
            inflated = decompressor.decompress(data, PIECE)
        except (zlib.error, lzma.LZMAError, OSError) as error:  # bz2 says OSError
            raise BadArchive("a compressed stream is corrupt") from error
        if not inflated:
            return
        yield inflated
        data = b""


class PieceReader:
    """Exact reads from a stream that comes in pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._at = 0

    def at_end(self) -> bool:
        return not self._left()

    def read(self, size: int) -> bytes:
        """The next `size` bytes, which should be few; raises BadArchive when the stream ends before."""
        return b"".join(self.read_pieces(size))

    def read_pieces(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes, however many; raises BadArchive when the stream ends before."""
        while size:
            if not (left := self._left()):
                raise BadArchive("the archive is truncated")
            taken = self._piece[self._at : self._at + min(left, size)]
            self._at += len(taken)
            size -= len(taken)
            yield taken

    def rest(self) -> Iterator[bytes]:
        """All that is left."""
        while left := self._left():
            yield from self.read_pieces(left)

    def _left(self) -> int:
        """How much of the current piece is unread; 0 only at the end."""
        while self._at == len(self._piece):
            following = next(self._pieces, None)
            if following is None:
                return 0
            self._piece, self._at = following, 0
        return len(self._piece) - self._at
