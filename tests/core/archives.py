"""Archives that real tools would not write: each record's fields can be made to lie."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {
    ".tar.gz": gzip.compress,
    ".tgz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".tar.xz": lzma.compress,
}


@dataclass(frozen=True)
class Headers:
    """The fields of a zip member's two headers (APPNOTE 4.3.7 and 4.3.12)."""

    name: bytes
    crc: int
    compressed: int
    size: int
    flags: int = 0
    method: int = 0
    extra: bytes = b""
    offset: int = 0
    disk: int = 0
    needed: int = 20

    def local(self) -> bytes:
        sums = (self.crc, self.compressed, self.size, len(self.name), len(self.extra))
        return struct.pack("<4s5H3L2H", b"PK\3\4", 20, self.flags, self.method, 0, 33, *sums) + self.name + self.extra

    def central(self) -> bytes:
        times = (20, self.needed, self.flags, self.method, 0, 33)
        sums = (self.crc, self.compressed, self.size, len(self.name), len(self.extra), 0, self.disk, 0, 0, self.offset)
        return struct.pack("<4s6H3L5H2L", b"PK\1\2", *times, *sums) + self.name + self.extra


@dataclass(frozen=True)
class ZipMember:
    """A stored member. `local` and `central` replace fields of the header; `after` stands between it and the next."""

    name: bytes
    data: bytes = b""
    local: Mapping[str, int | bytes] = field(default_factory=dict)
    central: Mapping[str, int | bytes] = field(default_factory=dict)
    after: bytes = b""
    listed: bool = True

    def headers(self, changes: Mapping[str, int | bytes], offset: int) -> Headers:
        size = len(self.data)
        fields = {"name": self.name, "crc": zlib.crc32(self.data), "compressed": size, "size": size, "offset": offset}
        return Headers(**(fields | dict(changes)))  # type: ignore[arg-type]


def crafted_zip(*members: ZipMember, before: bytes = b"", comment: bytes = b"", **end: int) -> bytes:
    """A zip of these members. `before` precedes the first; `end` replaces fields of the end record."""
    body, directory = bytearray(before), bytearray()
    for member in members:
        offset = len(body)
        body += member.headers(member.local, offset).local() + member.data + member.after
        if member.listed:
            directory += member.headers(member.central, offset).central()
    listed = sum(member.listed for member in members)
    last = {"disk": 0, "first_disk": 0, "here": listed, "entries": listed, "size": len(directory)}
    last |= {"offset": len(body), "comment": len(comment)} | end
    return bytes(body + directory) + struct.pack("<4s4H2LH", b"PK\5\6", *last.values()) + comment


def zip_of(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip as Python writes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


@dataclass(frozen=True)
class TarMember:
    name: str
    data: bytes = b""
    type: bytes = tarfile.REGTYPE
    link: str = ""


def tar_of(members: Iterable[TarMember], form: Literal[0, 1, 2] = tarfile.PAX_FORMAT) -> bytes:
    """A tar, not compressed, as Python writes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.type, info.linkname, info.size = member.type, member.link, len(member.data)
            archive.addfile(info, io.BytesIO(member.data))
    return buffer.getvalue()


def tar_block(
    name: bytes, *, size: bytes = b"0", type_: bytes = b"0", magic: bytes = b"ustar\x0000", **fields: bytes
) -> bytes:
    """One header block with its checksum right. `fields`: mode, mtime, linkname, prefix."""
    starts = {"mode": 100, "mtime": 136, "linkname": 157, "prefix": 345}
    block = bytearray(512)
    for start, value in ((0, name), (124, size), (156, type_), (257, magic), (148, b" " * 8)):
        block[start : start + len(value)] = value
    for key, value in fields.items():
        block[starts[key] : starts[key] + len(value)] = value
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def extension(body: bytes, type_: bytes) -> bytes:
    """An extension header: the block, and what it says of the next member."""
    return tar_block(b"extension", size=b"%o" % len(body), type_=type_) + padded(body)


def pax(**records: str) -> bytes:
    """An extended header with these records; an underscore stands for the dot of `GNU.sparse.map`."""
    return extension(b"".join(pax_record(key.replace("_", "."), value) for key, value in records.items()), b"x")


def pax_record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n".encode()
    length = len(body)
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return str(length).encode() + body
