"""Looking at blobs: one, its bytes, many. All block."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from proxy.core.digests import Sha256, Sha256Hasher
from proxy.core.errors import StorageTrouble
from proxy.ports import Blob, BlobFacts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_READ_SIZE = 1024 * 1024
_NAME = re.compile("[0-9a-f]{62}")


def find(path: Path, sha256: Sha256) -> Blob | None:
    try:
        return Blob(sha256, path.stat().st_size, path)
    except FileNotFoundError:
        return None


def read(path: Path, limit: int) -> bytes | None:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise StorageTrouble(f"a stored file of {size} bytes is over the {limit} that are read at once")
        return file.read()


def is_intact(path: Path, sha256: Sha256) -> bool | None:
    hasher = Sha256Hasher()
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        return None
    with file:
        while data := file.read(_READ_SIZE):
            hasher.update(data)
    return hasher.digests().sha256 == sha256


def list_blobs(directory: Path) -> list[BlobFacts]:
    """Ordered by digest. Names that are no digest's are somebody else's."""
    return sorted(_facts_in(directory))


def _facts_in(directory: Path) -> Iterator[BlobFacts]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if not _NAME.fullmatch(entry.name):
                continue
            try:
                facts = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # removed meanwhile
                continue
            stored_at = datetime.fromtimestamp(facts.st_mtime, UTC)
            yield BlobFacts(Sha256(directory.name + entry.name), facts.st_size, stored_at)
