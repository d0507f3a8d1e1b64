"""Byte ranges (RFC 9110 section 14): single ranges; anything else asks for the whole."""

from __future__ import annotations

import re
from typing import NamedTuple

from proxy.core.errors import InvalidInput

_SINGLE = re.compile(r"bytes=[ \t]*(\d{0,18})[ \t]*-[ \t]*(\d{0,18})[ \t]*", re.ASCII | re.IGNORECASE)


class ByteRange(NamedTuple):
    """First and last byte, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    def content_range(self, size: int) -> str:
        return f"bytes {self.first}-{self.last}/{size}"


class Unsatisfiable(InvalidInput):
    """No byte of the file lies in the range; answered 416 with the file's size."""

    code = "unsatisfiable-range"

    def __init__(self, size: int) -> None:
        super().__init__("416 Range Not Satisfiable")
        self.size = size


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The range of a file of `size` bytes that the header asks for; None means the whole. Raises Unsatisfiable.

    A header that is malformed, or names several ranges, is ignored, as RFC 9110 section 14.2 allows.
    """
    match = _SINGLE.fullmatch(header) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return _suffix(int(last), size)
    wanted = ByteRange(int(first), min(int(last) if last else size - 1, size - 1))
    if last and int(last) < int(first):
        return None
    if wanted.first >= size:
        raise Unsatisfiable(size)
    return wanted


def _suffix(length: int, size: int) -> ByteRange:
    if length == 0 or size == 0:
        raise Unsatisfiable(size)
    return ByteRange(max(0, size - length), size - 1)
