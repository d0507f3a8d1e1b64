"""Content codings: what was encoded comes back, small and the same every time."""

from __future__ import annotations

import gzip
import sys
from typing import TYPE_CHECKING

import pytest

from proxy.core.compress import compress
from proxy.core.negotiate import Encoding

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DECODERS: Mapping[Encoding, Callable[[bytes], bytes]] = {
    Encoding.IDENTITY: bytes,
    Encoding.GZIP: gzip.decompress,
    Encoding.ZSTD: zstd.decompress,
}
BODIES = [b"", b"x", b"<a href='x'>" * 1000, bytes(range(256)) * 8192]


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("body", BODIES, ids=len)
def test_what_was_encoded_comes_back(body: bytes, encoding: Encoding) -> None:
    assert DECODERS[encoding](compress(body, encoding)) == body


@pytest.mark.parametrize("encoding", Encoding)
def test_the_same_bytes_in_give_the_same_bytes_out(encoding: Encoding) -> None:
    assert compress(BODIES[2], encoding) == compress(bytes(BODIES[2]), encoding)


def test_gzip_tells_no_time() -> None:
    assert compress(b"x", Encoding.GZIP)[4:8] == bytes(4)


@pytest.mark.parametrize("encoding", [Encoding.GZIP, Encoding.ZSTD])
def test_pages_become_much_smaller(encoding: Encoding) -> None:
    assert len(compress(BODIES[2], encoding)) < len(BODIES[2]) / 20
