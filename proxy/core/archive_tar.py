"""Tar archives (POSIX pax and ustar, GNU's long names), read so that no two programs find different contents in one.

    (extension header, its records)* header, content | ... | zeros

An extension header gives its member a longer name, target or size. Where two places could give one, or programs are
known to differ on which counts, the archive is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from proxy.core.archive_members import MAX_PATH, Member, check_path, shown
from proxy.core.archive_streams import PieceReader
from proxy.core.errors import BadArchive

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 512
_MAX_EXTENSION = 1024 * 1024
_MAX_EXTENSIONS = 4  # in a row: global, pax, long name, long target
_LARGEST_OCTAL = 0o77777777777

_FILES = frozenset({b"0", b"\0", b"7"})
_DIRECTORY, _HARD_LINK, _SYMBOLIC_LINK = b"5", b"1", b"2"
_PAX, _PAX_GLOBAL, _GNU_PATH, _GNU_TARGET = b"x", b"g", b"L", b"K"
_GNU_KEYS = {_GNU_PATH: "path", _GNU_TARGET: "linkpath"}
_EXTENSIONS = frozenset({_PAX, _PAX_GLOBAL, *_GNU_KEYS})
_PAX_KEYS = {b"path": "path", b"linkpath": "linkpath", b"size": "size"}
_UNUSED_NUMBERS = ((100, 108), (108, 116), (116, 124), (136, 148), (329, 337), (337, 345))  # mode to device
_OCTAL = re.compile(rb" *([0-7]*)[ \0]*")
_RECORD = re.compile(rb"([1-9][0-9]{0,6}) ([^=\n]+)=")

_Overrides: TypeAlias = dict[str, bytes]


class _Header(NamedTuple):
    """What a header block says, or the extensions before it. `path` and `target` are bytes without NUL."""

    path: bytes
    type: bytes
    size: int
    target: bytes


def is_tar_header(block: bytes) -> bool:
    """Whether a program that takes the file for a tar would find a member here: the block's checksum is right."""
    if len(block) != BLOCK or not (match := _OCTAL.fullmatch(block[148:156])):
        return False
    return int(match[1] or b"0", 8) == sum(block) - sum(block[148:156]) + 8 * ord(" ")


def walk_tar(pieces: Iterator[bytes]) -> Iterator[Member]:
    """The members of the tar that `pieces` make, in order; raises BadArchive. Links have no content.

    A link may point below its top directory only, and nothing may lie below a link: so each target can be judged by
    its text.
    """
    reader = PieceReader(pieces)
    links: set[str] = set()
    while (header := _next_header(reader)) is not None:
        path = _text(header.path).removeprefix("./").removesuffix("/")
        if header.type == _DIRECTORY and path in {"", "."}:
            continue
        if links:
            _check_parents(path, links)
        if header.type in {_HARD_LINK, _SYMBOLIC_LINK}:
            check_link(path, _text(header.target), symbolic=header.type == _SYMBOLIC_LINK)
            links.add(path)
        content = reader.read_pieces(header.size)
        yield Member(path, header.type in _FILES, content)
        for _ in content:
            pass
        reader.read(-header.size % BLOCK)


def check_link(path: str, target: str, *, symbolic: bool) -> None:
    """Raises BadArchive unless the target stays below the top directory of `path`.

    A symbolic target starts at its link's directory and may climb, but only at once: `a/../..` may lead anywhere when
    `a` is itself a link.
    """
    parts = [part for part in target.split("/") if part not in {"", "."}]
    climbs = 0
    while symbolic and climbs < len(parts) and parts[climbs] == "..":
        climbs += 1
    below = "/".join(parts[climbs:])
    outside = target.startswith("/") or not target or climbs > max(0, path.count("/") - 1)
    if outside or (not symbolic and parts[:1] != path.split("/")[:1]):
        raise BadArchive(f"the archive has a link to the outside, {shown(path)}")
    if below:
        check_path(below)


def _check_parents(path: str, links: set[str]) -> None:
    parent = path
    while parent := parent.rpartition("/")[0]:
        if parent in links:
            raise BadArchive(f"the archive has a member below a link, {shown(path)}")


def _next_header(reader: PieceReader) -> _Header | None:
    """The next member's header with its extensions taken in, or None at the archive's end."""
    overrides: _Overrides = {}
    for _ in range(_MAX_EXTENSIONS + 1):
        if reader.at_end() or not any(block := reader.read(BLOCK)):
            _check_end(reader, overrides)
            return None
        header = _parse_header(block)
        if header.type not in _EXTENSIONS:
            return _checked(_overridden(header, overrides))
        extension = _read_extension(reader, header)
        if overrides.keys() & extension.keys():
            raise BadArchive("the tar archive has a member of two names or sizes")
        overrides |= extension
    raise BadArchive("the tar archive has too many extension headers in a row")


def _check_end(reader: PieceReader, overrides: _Overrides) -> None:
    """Reads to the end, where the compressed stream's checksum is."""
    if overrides or any(any(piece) for piece in reader.rest()):
        raise BadArchive("data follows the end of the tar archive")


def _parse_header(block: bytes) -> _Header:
    if not is_tar_header(block):
        raise BadArchive("the tar archive is corrupt")
    name, prefix = _until_nul(block[:100]), _until_nul(block[345:500])
    if prefix and block[257:263] != b"ustar\0":
        raise BadArchive("the tar archive has a member of two names")
    size, *_ = [_parse_number(block[start:end]) for start, end in ((124, 136), *_UNUSED_NUMBERS)]
    if size < 0:
        raise BadArchive("the tar archive is corrupt")
    path = prefix + b"/" + name if prefix else name
    return _Header(path, block[156:157], size, _until_nul(block[157:257]))


def _parse_number(field: bytes) -> int:
    """Octal digits, or GNU's base 256 for what they cannot say."""
    if field.startswith(b"\x80"):
        return int.from_bytes(field[1:], "big")
    if field.startswith(b"\xff"):
        return int.from_bytes(field, "big", signed=True)
    if match := _OCTAL.fullmatch(field):
        return int(match[1] or b"0", 8)
    raise BadArchive("the tar archive is corrupt")


def _read_extension(reader: PieceReader, header: _Header) -> _Overrides:
    if header.size > _MAX_EXTENSION:
        raise BadArchive("the tar archive has an extension header that is too large")
    data, padding = reader.read(header.size), reader.read(-header.size % BLOCK)
    if header.type in _GNU_KEYS:
        if any(padding):  # some programs read a name up to its NUL, wherever that is
            raise BadArchive("the tar archive has a member of two names")
        return {_GNU_KEYS[header.type]: _until_nul(data)}
    overrides = _parse_pax(data)
    if header.type == _PAX_GLOBAL and overrides:
        raise BadArchive("the tar archive gives all its members one name or size")
    return overrides


def _parse_pax(data: bytes) -> _Overrides:
    """The records `length keyword=value` that matter here (POSIX.1-2017, pax); the length counts all, itself too."""
    overrides: _Overrides = {}
    at = 0
    while at < len(data):
        match = _RECORD.match(data, at)
        end = at + int(match[1]) if match else 0
        if not match or end <= match.end() or data[end - 1 : end] != b"\n" or match[2].startswith(b"GNU.sparse"):
            raise BadArchive("the tar archive has an extension header that is corrupt or not supported")
        key = _PAX_KEYS.get(match[2])
        if key in overrides:
            raise BadArchive("the tar archive has a member of two names or sizes")
        if key:
            overrides[key] = data[match.end() : end - 1]
        at = end
    return overrides


def _overridden(header: _Header, overrides: _Overrides) -> _Header:
    path, target = overrides.get("path", header.path), overrides.get("linkpath", header.target)
    if (text := overrides.get("size")) is None:
        return header._replace(path=path, target=target)
    if not re.fullmatch(rb"[0-9]{1,19}", text) or (int(text) != header.size and int(text) <= _LARGEST_OCTAL):
        # Programs differ on which size counts when the header could have told it.
        raise BadArchive("the tar archive has a member of two sizes")
    return header._replace(path=path, target=target, size=int(text))


def _checked(header: _Header) -> _Header:
    if header.type not in _FILES | {_DIRECTORY, _HARD_LINK, _SYMBOLIC_LINK}:
        raise BadArchive("the tar archive has a member that is no file, directory or link")
    if header.size and header.type not in _FILES:
        raise BadArchive("the tar archive has a directory or link with content")
    if header.type in _FILES and header.path.endswith(b"/"):
        raise BadArchive("the tar archive has a file of a directory's name")
    if len(header.path) > 4 * MAX_PATH:
        raise BadArchive("the tar archive has a member of a name that is too long")
    return header


def _until_nul(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _text(name: bytes) -> str:
    """Bytes that are not UTF-8 stay told apart, as in Python's own file names."""
    return name.decode("utf-8", "surrogateescape")
