"""Content codings of pages: gzip (RFC 1952) and zstd (RFC 8878). The same bytes in give the same bytes out."""

from __future__ import annotations

import gzip
import sys
from typing import assert_never

from proxy.core.negotiate import Encoding

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["compress", "zstd"]

_LARGE = 1024 * 1024
_GZIP_LEVEL = 6
_GZIP_LEVEL_LARGE = 1
"""For pages over `_LARGE` bytes: a tenth more to send, and less than half the time to wait."""
_ZSTD_LEVEL = 1
"""On pages of JSON, higher levels take longer and save nothing."""


def compress(body: bytes, encoding: Encoding) -> bytes:
    match encoding:
        case Encoding.IDENTITY:
            return body
        case Encoding.GZIP:
            return gzip.compress(body, _GZIP_LEVEL_LARGE if len(body) > _LARGE else _GZIP_LEVEL, mtime=0)
        case Encoding.ZSTD:
            return zstd.compress(body, _ZSTD_LEVEL)
    assert_never(encoding)
