"""Provenance objects (PEP 740) for what was published here: attestations as they were sent, and not verified."""

from __future__ import annotations

import msgspec
from msgspec import Struct

CONTENT_TYPE = "application/vnd.pypi.integrity.v1+json"


class _Publisher(Struct, frozen=True):
    """Nobody: the attestations of an upload are stored as they came."""

    kind: str = "unverified"


class _Bundle(Struct, frozen=True):
    attestations: msgspec.Raw
    publisher: _Publisher = _Publisher()


class _Provenance(Struct, frozen=True):
    attestation_bundles: tuple[_Bundle, ...]
    version: int = 1


def provenance_of(attestations: str) -> bytes:
    """The provenance object around an upload's `attestations`, the JSON text of an array."""
    return msgspec.json.encode(_Provenance((_Bundle(msgspec.Raw(attestations.encode())),)))
