"""Digests: the identity of bytes. sha256 names a blob; the others are kept for those who ask for them."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple, NewType, Protocol

from proxy.core.errors import InvalidInput

Sha256 = NewType("Sha256", str)
"""64 lower-case hex digits."""

_HEX_64 = re.compile(r"[0-9a-f]{64}")


class Digests(NamedTuple):
    """Hex digests of one file (blake2b of 256 bits, as PyPI's) and its size in bytes.

    `blake2b` and `md5` are empty where nobody needed them.
    """

    sha256: Sha256
    blake2b: str
    md5: str
    size: int


def parse_sha256(text: str) -> Sha256:
    """`text` as a sha256 in any case; raises InvalidInput."""
    lowered = text.lower()
    if not _HEX_64.fullmatch(lowered):
        raise InvalidInput("a sha256 has 64 hexadecimal digits")
    return Sha256(lowered)


class Hasher(Protocol):
    """Digests of bytes that come in pieces."""

    def update(self, data: bytes) -> None: ...

    def digests(self) -> Digests: ...


class Sha256Hasher:
    """sha256 and the size alone: all that a cached file is known by, at a third of the price."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._size = 0

    def update(self, data: bytes) -> None:
        self._sha256.update(data)
        self._size += len(data)

    def digests(self) -> Digests:
        return Digests(Sha256(self._sha256.hexdigest()), "", "", self._size)


class FullHasher:
    """sha256, blake2b-256 and md5 (which upload forms carry), and the size, in one pass."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._blake2b = hashlib.blake2b(digest_size=32)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0

    def update(self, data: bytes) -> None:
        self._sha256.update(data)
        self._blake2b.update(data)
        self._md5.update(data)
        self._size += len(data)

    def digests(self) -> Digests:
        return Digests(Sha256(self._sha256.hexdigest()), self._blake2b.hexdigest(), self._md5.hexdigest(), self._size)


def sha256_of(data: bytes) -> Sha256:
    return Sha256(hashlib.sha256(data).hexdigest())
