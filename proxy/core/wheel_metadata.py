"""METADATA out of a wheel of which only some bytes are here: its directory and that one member (PEP 427, PEP 658).

`Windows` is a wheel as a file with holes. Reading into a hole raises Missing, which says what to bring; whoever brings
it adds it and reads again. Installers do the same on their side where an index offers no metadata.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from proxy.core.archive import MAX_METADATA, parse_metadata
from proxy.core.distributions import parse_distribution
from proxy.core.errors import InvalidName, InvalidUpload
from proxy.core.names import parse_project_name
from proxy.core.ranges import ByteRange

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from proxy.core.names import Filename

MAX_WINDOWS = 64 * 1024 * 1024
"""Bytes of one wheel held at once."""
TAIL = 32 * 1024
"""Bytes from the end to begin with: the directory of most wheels."""
MAX_DIRECTORY = 8 * 1024 * 1024
"""Bytes of a directory that is read: some 50 000 files as they are usually named."""
_BUFFER = 1024
_GRAIN = 16 * 1024
"""Bytes at least to bring for a hole: one request more costs more."""
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


class Missing(Exception):
    """These bytes are needed next."""

    def __init__(self, wanted: ByteRange) -> None:
        super().__init__(wanted)
        self.wanted = wanted


class Windows(io.RawIOBase):
    """A file of `size` bytes with holes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._position = 0
        self._pieces: list[tuple[int, bytes]] = []

    @property
    def held(self) -> int:
        return sum(len(data) for _, data in self._pieces)

    def add(self, first: int, data: bytes) -> None:
        self._pieces.append((first, data))

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._size - self._position)
        if wanted <= 0:
            return 0
        for first, data in self._pieces:
            if first <= self._position < first + len(data):
                piece = data[self._position - first :][:wanted]
                view[: len(piece)] = piece
                self._position += len(piece)
                return len(piece)
        raise Missing(ByteRange(self._position, min(self._position + max(wanted, _GRAIN), self._size) - 1))


class _Wary(io.BufferedReader):
    """For zipfile, which reads a directory at once, and makes 600 bytes of an entry that has 46."""

    most = MAX_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.most:
            raise InvalidUpload("the wheel's directory is too large")
        return super().read(size)


def read_wheel_metadata(wheel: io.RawIOBase, filename: Filename) -> bytes:
    """The bytes of the one METADATA, which must speak of the wheel that `filename` names.

    Raises InvalidUpload where there is none to be had, and Missing.
    """
    buffered = _Wary(wheel, _BUFFER)
    try:
        with zipfile.ZipFile(buffered) as archive:
            buffered.most = MAX_METADATA + 1
            metadata = _read(archive)
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        # What zipfile raises for a broken, encrypted (RuntimeError) or unknown (NotImplementedError) member.
        raise InvalidUpload("the wheel cannot be read") from error
    finally:
        buffered.detach()  # the caller's file stays open, and may be read again
    _check_subject(metadata, filename)
    return metadata


def _check_subject(metadata: bytes, filename: Filename) -> None:
    said, named = parse_metadata(metadata), parse_distribution(filename)
    try:
        agrees = parse_project_name(said.name) == named.project and Version(said.version) == named.version
    except (InvalidName, InvalidVersion):
        agrees = False
    if not agrees:
        raise InvalidUpload("the wheel's METADATA speaks of another release")


def _read(archive: zipfile.ZipFile) -> bytes:
    named = [info for info in archive.infolist() if _is_metadata(info.filename)]
    if len(named) != 1 or named[0].file_size > MAX_METADATA:
        raise InvalidUpload("the wheel has not one METADATA of a sound size")
    if named[0].compress_type not in _METHODS:
        raise InvalidUpload("the wheel's METADATA is compressed in a way that installers need not know")
    with archive.open(named[0]) as member:
        metadata = member.read(MAX_METADATA + 1)
    if len(metadata) > MAX_METADATA:
        raise InvalidUpload("the wheel has not one METADATA of a sound size")
    return metadata


def _is_metadata(path: str) -> bool:
    directory, _, name = path.rpartition("/")
    return name == "METADATA" and directory.endswith(".dist-info") and "/" not in directory
