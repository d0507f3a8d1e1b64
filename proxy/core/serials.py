"""The serial of a page: how often its index had changed when it was made (PyPI's, PEP 381's and bandersnatch's).

Serials of one index only grow, so a page with a lower one than the page at hand is an old copy.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct, field

from proxy.core.negotiate import Representation

SERIAL_HEADER = "X-PyPI-Last-Serial"
_MAX_DIGITS = 18  # of what a database column holds


class _Meta(Struct):
    serial: object = field(default=None, name="_last-serial")


class _Page(Struct):
    meta: _Meta = field(default_factory=_Meta)


_page = msgspec.json.Decoder(_Page)


def parse_serial(header: str | None, body: bytes | bytearray, content_type: str) -> int | None:
    """A page's serial as its header tells it, else its JSON's `meta` (on mirrors of static files); None for none."""
    if header is not None:
        return _plain(header)
    if content_type.partition(";")[0].strip().lower() != Representation.JSON.value:
        return None
    try:
        serial = _page.decode(body).meta.serial
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return _plain(str(serial)) if isinstance(serial, int) else None


def _plain(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None
