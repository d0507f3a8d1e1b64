"""Zip archives, read so that no two programs can find different contents in one (APPNOTE 6.3.10).

A reader may start at the front, record by record, or at the back, from the directory. Here both must say the same, and
every byte of the file must belong to a record:

    local header, content, descriptor? | ... | directory | ZIP64 end, locator? | end record, comment
    0                                        ^ directory.offset                               end of file
"""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from proxy.core.archive_members import MAX_MEMBERS, Member, shown
from proxy.core.archive_streams import Deflate, inflate, read_exactly, read_pieces, size_of
from proxy.core.errors import BadArchive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from proxy.core.archive_members import Allowance

MAX_DIRECTORY = 64 * 1024 * 1024

_LOCAL = struct.Struct("<4s2x2H4x3L2H")  # x: times, attributes and other fields that decide nothing
_CENTRAL = struct.Struct("<4s2xBx2H4x3L4H6xL")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_CENTRAL_SIGNATURE = b"PK\x01\x02"
_END_SIGNATURE = b"PK\x05\x06"
_END64_SIGNATURE = b"PK\x06\x06"
_LOCATOR_SIGNATURE = b"PK\x06\x07"
_DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
_LONGEST_DESCRIPTOR = 24
_LONGEST_TAIL = _END64.size + _LOCATOR.size + _END.size + 0xFFFF

_STORED, _DEFLATED = 0, 8
_HAS_DESCRIPTOR, _UTF8 = 0x0008, 0x0800
_EFFORT = 0x0006  # how hard the compressor tried
_KNOWN_FLAGS = _EFFORT | _HAS_DESCRIPTOR | _UTF8
_KNOWN_VERSION = 63  # of the zip format: 6.3
_ZIP64, _OTHER_NAME = 0x0001, 0x7075  # ids of extra fields
_IN_ZIP64 = 0xFFFFFFFF


class _Directory(NamedTuple):
    entries: int
    size: int
    offset: int


class _Entry(NamedTuple):
    """What the directory says of a member. `offset` is its local header's."""

    name: bytes
    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    offset: int

    @property
    def text(self) -> str:
        """Its name in the encoding that the flags tell; cp437 has a character for each byte."""
        try:
            return self.name.decode("utf-8" if self.flags & _UTF8 else "cp437")
        except UnicodeDecodeError as error:
            raise BadArchive("the zip archive has a name that is not UTF-8") from error


def looks_like_zip(file: BinaryIO) -> bool:
    """Whether there is an end record where programs search for it, whatever the file is called."""
    return _END_SIGNATURE in _read_tail(file)


def walk_zip(file: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    """The members in the order of the file, each read once and compared with its checksum; raises BadArchive."""
    directory = _find_directory(file)
    entries = sorted(_read_entries(file, directory), key=attrgetter("offset"))
    bounds = [*(entry.offset for entry in entries), directory.offset]
    if bounds[0]:
        raise BadArchive("data precedes the zip archive")
    for entry, (_, end) in zip(entries, pairwise(bounds), strict=True):
        content = allowance.count(_read_content(file, entry, end))
        yield Member(entry.text.removesuffix("/"), not entry.name.endswith(b"/"), content)
        for _ in content:
            pass


def _read_tail(file: BinaryIO) -> bytes:
    """The end of the file, as much of it as the records after the directory can fill."""
    size = size_of(file)
    file.seek(max(0, size - _LONGEST_TAIL))
    return read_exactly(file, min(size, _LONGEST_TAIL))


def _find_directory(file: BinaryIO) -> _Directory:
    tail = _read_tail(file)
    at = tail.rfind(_END_SIGNATURE)
    if at < 0 or len(tail) - at < _END.size:
        raise BadArchive("the file is not a whole zip archive")
    _, disk, first_disk, entries_here, entries, size, offset, comment = _END.unpack_from(tail, at)
    if len(tail) - at - _END.size != comment:
        raise BadArchive("data follows the zip archive")
    if disk or first_disk or entries_here != entries:
        raise BadArchive("the zip archive is in several parts")
    directory, end = _Directory(entries, size, offset), size_of(file) - len(tail) + at
    if tail[max(0, at - _LOCATOR.size) : at].startswith(_LOCATOR_SIGNATURE):
        directory, end = _find_directory64(tail[:at], directory, end)
    if directory.offset + directory.size != end:
        raise BadArchive("the zip archive's directory is not where it should be")
    if directory.entries > MAX_MEMBERS or directory.size > MAX_DIRECTORY:
        raise BadArchive("the archive has too many members")
    return directory


def _find_directory64(before: bytes, narrow: _Directory, end: int) -> tuple[_Directory, int]:
    """The directory as the ZIP64 records in `before` give it, and where the first of them starts.

    `before` ends where the end record starts, at `end` of the file.
    """
    start = len(before) - _LOCATOR.size - _END64.size
    if start < 0 or not before.startswith(_END64_SIGNATURE, start):
        raise BadArchive("the zip archive's ZIP64 records are corrupt")
    _, length, _, _, disk, first_disk, here, entries, size, offset = _END64.unpack_from(before, start)
    _, located_disk, located, disks = _LOCATOR.unpack_from(before, start + _END64.size)
    wide, at = _Directory(entries, size, offset), end - len(before) + start
    if disk or first_disk or located_disk or disks > 1 or here != entries:
        raise BadArchive("the zip archive is in several parts")
    agrees = all(a in (b, limit) for a, b, limit in zip(narrow, wide, (0xFFFF, _IN_ZIP64, _IN_ZIP64), strict=True))
    if located != at or length != _END64.size - 12 or not agrees:
        raise BadArchive("the zip archive's ZIP64 records are corrupt")
    return wide, at


def _read_entries(file: BinaryIO, directory: _Directory) -> Iterator[_Entry]:
    file.seek(directory.offset)
    for _ in range(directory.entries):
        yield _read_entry(file)
    if file.tell() != directory.offset + directory.size:
        raise BadArchive("the zip archive's directory is corrupt")


def _read_entry(file: BinaryIO) -> _Entry:
    header = _CENTRAL.unpack(read_exactly(file, _CENTRAL.size))
    signature, needed, flags, method, crc, compressed, size, name_size, extra_size, comment, disk, offset = header
    if signature != _CENTRAL_SIGNATURE:
        raise BadArchive("the zip archive's directory is corrupt")
    name = read_exactly(file, name_size)
    size, compressed, offset = _widened(read_exactly(file, extra_size), size, compressed, offset)
    read_exactly(file, comment)
    entry = _Entry(name, flags, method, crc, compressed, size, offset)
    if disk:
        raise BadArchive("the zip archive is in several parts")
    _check_entry(entry, needed)
    return entry


def _check_entry(entry: _Entry, needed: int) -> None:
    name = shown(entry.text)
    if entry.flags & ~_KNOWN_FLAGS or needed > _KNOWN_VERSION:
        raise BadArchive(f"{name} is encrypted, or in the zip archive in a way that is not supported")
    if entry.method not in {_STORED, _DEFLATED}:
        raise BadArchive(f"{name} is neither stored nor deflated")
    if entry.name.endswith(b"/") and entry.size:
        raise BadArchive(f"{name} is a directory with content")


def _widened(extra: bytes, *values: int) -> list[int]:
    """`values`, each that says so replaced by its 64 bits in the ZIP64 extra field (APPNOTE 4.5.3)."""
    field = _zip64_field(extra)
    wide = struct.iter_unpack("<Q", field[: len(field) // 8 * 8])
    try:
        return [next(wide)[0] if value == _IN_ZIP64 else value for value in values]
    except StopIteration as error:
        raise BadArchive("the zip archive's ZIP64 records are corrupt") from error


def _zip64_field(extra: bytes) -> bytes:
    """The ZIP64 field among the extra fields, empty where there is none."""
    found: list[bytes] = []
    at = 0
    while len(extra) - at >= 4:
        field, size = struct.unpack_from("<2H", extra, at)
        if field == _OTHER_NAME or (field == _ZIP64 and found) or at + 4 + size > len(extra):
            raise BadArchive("the zip archive has a member with ambiguous extra fields")
        if field == _ZIP64:
            found.append(extra[at + 4 : at + 4 + size])
        at += 4 + size
    return b"".join(found)


def _read_content(file: BinaryIO, entry: _Entry, end: int) -> Iterator[bytes]:
    """The member's bytes; its record must reach from its offset to `end`, no less and no more."""
    _check_local(file, entry)
    if file.tell() + entry.compressed > end:
        raise BadArchive("the zip archive has members that overlap")
    raw = read_pieces(file, entry.compressed)
    pieces = inflate(raw, Deflate.raw()) if entry.method == _DEFLATED and entry.compressed else raw
    size = crc = 0
    for piece in pieces:
        size += len(piece)
        crc = zlib.crc32(piece, crc)
        yield piece
    if (size, crc) != (entry.size, entry.crc):
        raise BadArchive(f"{shown(entry.text)} does not match its checksum or size")
    _check_gap(file, entry, end)


def _check_local(file: BinaryIO, entry: _Entry) -> None:
    """Raises BadArchive unless the local header agrees with the directory; leaves `file` at the content."""
    file.seek(entry.offset)
    header = _LOCAL.unpack(read_exactly(file, _LOCAL.size))
    signature, flags, method, crc, compressed, size, name_size, extra_size = header
    if signature != _LOCAL_SIGNATURE:
        raise BadArchive("the zip archive's directory points to no member")
    name = read_exactly(file, name_size)
    size, compressed = _widened(read_exactly(file, extra_size), size, compressed)
    later = flags & _HAS_DESCRIPTOR  # then what the writer did not know yet is 0
    pairs = ((crc, entry.crc), (compressed, entry.compressed), (size, entry.size))
    same_sums = all(here == there or (later and not here) for here, there in pairs)
    same_flags = not (flags ^ entry.flags) & ~_EFFORT
    if (name, method) != (entry.name, entry.method) or not same_flags or not same_sums:
        raise BadArchive(f"the zip archive contradicts itself about {shown(entry.text)}")


def _check_gap(file: BinaryIO, entry: _Entry, end: int) -> None:
    """Raises BadArchive unless exactly the data descriptor, where there is one, stands between a content and `end`.

    Nothing tells which of its four forms a descriptor has (APPNOTE 4.3.9), so it is compared with each.
    """
    sums = (entry.crc, entry.compressed, entry.size)
    bodies = [struct.pack(form, *sums) for form in ("<3L", "<L2Q") if form == "<L2Q" or max(sums) <= _IN_ZIP64]
    descriptors = [start + body for start in (b"", _DESCRIPTOR_SIGNATURE) for body in bodies]
    allowed = descriptors if entry.flags & _HAS_DESCRIPTOR else [b""]
    gap = end - file.tell()
    if gap > _LONGEST_DESCRIPTOR or read_exactly(file, gap) not in allowed:
        raise BadArchive("the zip archive has data between its members")
