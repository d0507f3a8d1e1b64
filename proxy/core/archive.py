"""Core metadata out of an open wheel or sdist, and proof that the archive is whole and safe to unpack.

One pass reads every member against its checksum and keeps none but the metadata. It blocks and computes: callers run
it in a thread.
"""

from __future__ import annotations

import re
from email.parser import HeaderParser
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from proxy.core.archive_members import Allowance, Paths, shown
from proxy.core.archive_streams import Deflate, bzip2, inflate, read_pieces, size_of, xz
from proxy.core.archive_tar import BLOCK, is_tar_header, walk_tar
from proxy.core.archive_zip import looks_like_zip, walk_zip
from proxy.core.distributions import Kind, parse_distribution, version_of
from proxy.core.errors import BadArchive
from proxy.core.names import MAX_FILENAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message
    from typing import BinaryIO

    from proxy.core.archive_members import Member
    from proxy.core.names import Filename

MAX_METADATA = 16 * 1024 * 1024
MAX_HEADER_LINES = 100_000

_ZIP_SUFFIXES = (".whl", ".zip")
_DECOMPRESSORS = {".tar.gz": Deflate.gzip, ".tgz": Deflate.gzip, ".tar.bz2": bzip2, ".tar.xz": xz}
_END_OF_HEADERS = re.compile(rb"(?>\r\n|\n|\r){2}")


class ArchiveMetadata(Struct, frozen=True):
    """METADATA or PKG-INFO, byte for byte, and what three of its fields say (`requires_python` may be empty)."""

    metadata: bytes
    name: str
    version: str
    requires_python: str = ""


class _Layout(NamedTuple):
    """Where a kind of distribution describes itself: one top directory with this suffix, and what must be in it."""

    suffix: str
    metadata: str
    companions: tuple[str, ...] = ()

    def is_metadata(self, member: Member) -> bool:
        top, _, rest = member.path.partition("/")
        return member.is_file and top.endswith(self.suffix) and rest == self.metadata


_LAYOUTS = {
    Kind.WHEEL: _Layout(".dist-info", "METADATA", ("WHEEL", "RECORD")),
    Kind.SDIST: _Layout("", "PKG-INFO"),
}


def read_archive(file: BinaryIO, filename: Filename, kind: Kind) -> ArchiveMetadata:
    """The core metadata of the distribution in `file`, which must be seekable and stays open.

    Raises InvalidUpload for what is not one whole archive of the format that `filename` tells, is not safe to unpack,
    or does not describe itself in the directory that `filename` tells (binary distribution format, PEP 625); and
    InvalidName where `filename` is not a distribution's.
    """
    layout, paths, found = _LAYOUTS[kind], Paths(), list[bytes]()
    for member in _walk(file, filename):
        paths.add(member.path, is_file=member.is_file)
        if layout.is_metadata(member) and not found:
            found.append(_read_metadata(member))
    _check_layout(layout, paths, filename)
    return parse_metadata(found[0])


def _walk(file: BinaryIO, filename: Filename) -> Iterator[Member]:
    """The members of an archive that is of one format only: installers go by the name or by the content."""
    size = size_of(file)
    suffix = filename.lower()
    if suffix.endswith(_ZIP_SUFFIXES):
        file.seek(0)
        if is_tar_header(file.read(BLOCK)):
            raise BadArchive("the file is a tar archive as well as a zip archive")
        return walk_zip(file, Allowance(size))
    decompressor = next((make for end, make in _DECOMPRESSORS.items() if suffix.endswith(end)), None)
    if decompressor is None:
        raise BadArchive(f"the archive must be one of {', '.join((*_ZIP_SUFFIXES, *_DECOMPRESSORS))}")
    if looks_like_zip(file):
        raise BadArchive("the file is a zip archive as well as a tar archive")
    file.seek(0)
    return walk_tar(Allowance(size).count(inflate(read_pieces(file, size), decompressor())))


def _read_metadata(member: Member) -> bytes:
    data = bytearray()
    for piece in member.content:
        data += piece
        if len(data) > MAX_METADATA:
            raise BadArchive("the core metadata is larger than 16 MiB")
    return bytes(data)


def _check_layout(layout: _Layout, paths: Paths, filename: Filename) -> None:
    """Raises BadArchive unless the one directory is there, is named as the file is, and has what it must."""
    directories = [top for top in paths.tops() if top.endswith(layout.suffix)]
    if len(directories) != 1:
        raise BadArchive(f"the archive must have one top directory NAME-VERSION{layout.suffix}")
    directory = directories[0]
    distribution, stem = parse_distribution(filename), directory.removesuffix(layout.suffix)
    # A directory is named as an sdist without its suffix is.
    if len(stem) > MAX_FILENAME or version_of(f"{stem}.zip", distribution.project) != distribution.version:
        raise BadArchive(f"the directory {shown(directory)} does not match the file name")
    for name in (layout.metadata, *layout.companions):
        if f"{directory}/{name}" not in paths.files:
            raise BadArchive(f"the archive has no {shown(f'{directory}/{name}')}")


def parse_metadata(metadata: bytes) -> ArchiveMetadata:
    """Any version of core metadata: only fields are read that all versions have. Raises InvalidUpload."""
    headers = _parse_headers(metadata)
    name, version = _field(headers, "Name"), _field(headers, "Version")
    if not name or not version:
        raise BadArchive("the core metadata has no Name or no Version")
    return ArchiveMetadata(metadata, name, version, _field(headers, "Requires-Python"))


def _parse_headers(metadata: bytes) -> Message:
    block = _END_OF_HEADERS.split(metadata, maxsplit=1)[0]
    if block.count(b"\n") + block.count(b"\r") > MAX_HEADER_LINES:
        raise BadArchive("the core metadata has too many fields")
    return HeaderParser().parsestr(block.decode("utf-8", "replace"))


def _field(headers: Message, name: str) -> str:
    """A field's value on one line, empty where it is absent or was written as setuptools writes what it lacks."""
    values = headers.get_all(name, [])
    if len(values) > 1:
        raise BadArchive(f"the core metadata has more than one {name}")
    value = " ".join(str(values[0]).split()) if values else ""
    return "" if value == "UNKNOWN" else value
