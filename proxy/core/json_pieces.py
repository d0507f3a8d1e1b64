"""A long array in a JSON text, taken apart before it is decoded.

One call of a decoder holds the interpreter lock from the first byte to the last, and so stops every thread: 30 ms for
PyPI's largest page. Hence pieces of some hundred entries, each decoded by a call of its own.

Where an array may be cut is guessed (`},{`), and a wrong guess shows itself: a text that was cut inside a string or a
nested value is no JSON any more, as what opens there is never closed. So the pieces of an array either decode all, and
then hold the same entries in the same order, or some piece does not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 64 * 1024
"""Bytes; about 150 entries of PyPI, decoded in a tenth of a millisecond."""
_MAX_ENTRY = 64 * 1024
"""Bytes from where a cut is wanted to where one is looked for."""
_OPENING = re.compile(rb"\s*:\s*\[")
_CUT = re.compile(rb"\}\s*,\s*\{")
_PLACE_HOLDER = b"[0]"


class Split(NamedTuple):
    """`frame` is the text with `[0]` in place of the array; the array's entries lie in `[start, end)` of the text."""

    frame: bytes
    start: int
    end: int


class CannotSplit(Exception):
    """The text is not JSON, or laid out in another way than most: it is to be decoded whole."""


def split(text: bytes | bytearray, key: bytes) -> Split:
    """Where the array of objects under `key` lies; raises CannotSplit where none is seen.

    That it is the array of the outermost object is for the caller to check: only then the frame has `[0]` there.
    """
    quoted = b'"%b"' % key
    found = text.find(quoted)
    opening = _OPENING.match(text, found + len(quoted)) if found > 0 else None
    end = text.rfind(b"}]") + 1
    if opening is None or text[found - 1 : found] == b"\\" or end <= opening.end():
        raise CannotSplit
    frame = text[: opening.end() - 1] + _PLACE_HOLDER + text[end + 1 :]
    return Split(bytes(frame), opening.end(), end)


def pieces(text: bytes | bytearray, start: int, end: int) -> Iterator[bytes]:
    """The entries as arrays of their own, each of some; raises CannotSplit where they cannot be told apart."""
    view = memoryview(text)
    while start < end:
        wanted = start + _PIECE
        cut = _CUT.search(text, wanted, min(end, wanted + _MAX_ENTRY))
        if cut is None and wanted + _MAX_ENTRY < end:
            raise CannotSplit
        yield b"".join((b"[", view[start : cut.start() + 1 if cut else end], b"]"))
        start = cut.end() - 1 if cut else end
