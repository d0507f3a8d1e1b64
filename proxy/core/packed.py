"""The files of a long page in little memory: encoded, some dozens at a time, and decoded while somebody looks at them.

As objects, a file takes 1.2 KB; encoded, a third of it, and of 50 000 files hardly anything is left for the allocator
or the garbage collector to go through. No single step takes long, which matters where it is made in a thread beside
the event loop: a call of the decoder, like the end of a tuple of 50 000 objects, stops all threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, overload

import msgspec
from msgspec import Struct

from proxy.core.model import File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from proxy.core.digests import Sha256

MAX_LOOSE: Final = 500
"""Files; a page of more is packed."""
_CHUNK: Final = 64
"""Files; decoded in some 25 µs."""
_BLOCK: Final = 24
"""Chunks whose bytes lie in one block: it is large enough for the allocator to give it back when the page goes."""
LOOSE_FILE: Final = 1200
"""Bytes that one takes in memory, about."""
_TAG: Final = 8
"""Bytes of a sha256: enough to tell which chunk may hold it."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[File, ...])


class Chunk(Struct, frozen=True, array_like=True, gc=False):
    """Some files of a page, encoded; `tags` are the first bytes of each one's sha256.

    `hopes` says whether one has core metadata without a sha256.
    """

    files: memoryview
    tags: bytes
    hopes: bool

    def __len__(self) -> int:
        return len(self.tags) // _TAG

    def unpack(self) -> tuple[File, ...]:
        """Raises msgspec.DecodeError where the bytes are not of this version."""
        return _decoder.decode(self.files)


class PackedFiles(Sequence[File]):
    """Equal to any sequence of the same files."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self.chunks = tuple(chunks)
        self._count = sum(map(len, self.chunks))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[File]:
        for chunk in self.chunks:
            yield from chunk.unpack()

    @overload
    def __getitem__(self, index: int) -> File: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[File, ...]: ...
    def __getitem__(self, index: int | slice) -> File | tuple[File, ...]:
        return tuple(self)[index]

    def find(self, sha256: Sha256, filename: str) -> File | None:
        """The file with this digest and name."""
        tag = _tags((sha256,))
        files = (file for chunk in self.chunks if tag in chunk.tags for file in chunk.unpack())
        return next((file for file in files if file.filename == filename and file.sha256 == sha256), None)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as of other sequences that are compared with lists


def pack(files: Iterable[File]) -> Sequence[File]:
    """The files, in order: packed where they are many."""
    rest = iter(files)
    first = tuple(islice(rest, MAX_LOOSE + 1))
    if len(first) <= MAX_LOOSE:
        return first
    return PackedFiles(_chunks(chain(first, rest)))


def groups(files: Sequence[File]) -> Iterator[Sequence[File]]:
    """The files, some at a time: what is done with one group takes no long time."""
    if isinstance(files, PackedFiles):
        return (chunk.unpack() for chunk in files.chunks)
    return (files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK))


def revise(
    files: Sequence[File],
    revised: Callable[[File], File | None],
    concerns: Callable[[Chunk], bool] = lambda _: True,
) -> Sequence[File]:
    """Each file as `revised` gives it back, without those for which it gives None.

    Of packed files only the chunks that it `concerns` are looked at, and those that stay the same are shared.
    """
    if not isinstance(files, PackedFiles):
        return tuple(new for file in files if (new := revised(file)) is not None)
    return PackedFiles(
        new for chunk in files.chunks for new in (_revised(chunk, revised) if concerns(chunk) else (chunk,))
    )


def memory_of(files: Sequence[File]) -> int:
    """Bytes, about."""
    if isinstance(files, PackedFiles):
        return sum(len(chunk.files) + len(chunk.tags) for chunk in files.chunks)
    return len(files) * LOOSE_FILE


def _chunks(files: Iterable[File]) -> Iterator[Chunk]:
    rest = iter(files)
    while some := tuple(islice(rest, _CHUNK * _BLOCK)):
        yield from _block(list(groups(some)))


def _block(parts: Sequence[Sequence[File]]) -> Iterator[Chunk]:
    encoded = [_encoder.encode(files) for files in parts]
    block = memoryview(b"".join(encoded))
    end = 0
    for files, each in zip(parts, encoded, strict=True):
        start, end = end, end + len(each)
        tags = _tags([file.hashes["sha256"] for file in files])
        yield Chunk(block[start:end], tags, any(map(_hopes, files)))


def _tags(digests: Iterable[str]) -> bytes:
    return bytes.fromhex("".join([sha256[: 2 * _TAG] for sha256 in digests]))


def _revised(chunk: Chunk, revised: Callable[[File], File | None]) -> Iterable[Chunk]:
    old = chunk.unpack()
    new = [file for each in old if (file := revised(each)) is not None]
    same = len(new) == len(old) and all(mine is its for mine, its in zip(new, old, strict=True))
    return (chunk,) if same else _chunks(new)


def _hopes(file: File) -> bool:
    promise = file.core_metadata
    return promise is True or (promise is not False and "sha256" not in promise)
