"""The blob store in a directory."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from proxy.core.errors import StorageTrouble
from proxy.disk.files import create_file, sync, write_all
from proxy.disk.hops import Hops, open_hops
from proxy.disk.layout import Layout
from proxy.disk.parts import DiskPart
from proxy.ports import Blob

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from pathlib import Path

    from proxy.core.digests import Sha256

_PROBE = bytes(range(256)) * 16
"""4 KiB: fewer might find room inside an inode of a full disk."""


class DiskBlobStore:
    """A BlobStore. Several processes may use one directory: every step between them is a rename or an unlink."""

    def __init__(self, layout: Layout, hops: Hops) -> None:
        self._layout = layout
        self._hops = hops

    async def writer(self, *, full_digests: bool = False) -> DiskPart:
        return DiskPart(self._layout, self._hops, full_digests=full_digests)

    async def find(self, sha256: Sha256) -> Blob | None:
        return await self._hops.run("look for a file", _find, self._layout.blob(sha256), sha256)

    async def read(self, sha256: Sha256, *, limit: int) -> bytes | None:
        return await self._hops.run("read a file", _read, self._layout.blob(sha256), limit)

    async def delete(self, sha256: Sha256) -> None:
        await self._hops.run("remove a file", _delete, self._layout.blob(sha256))

    async def sweep(self, older_than: datetime) -> int:
        return await self._hops.run("remove old parts", _sweep, self._layout.parts, older_than.timestamp())

    async def probe(self) -> None:
        await self._hops.run("write a test file", _probe, self._layout.new_part())


@asynccontextmanager
async def open_blob_store(data_dir: Path) -> AsyncIterator[DiskBlobStore]:
    """The store under `data_dir`, its directories made; raises StorageTrouble where they cannot be.

    At the end of the block it finishes the writing it was given. Parts that are still open then cannot be used.
    """
    layout = Layout(data_dir)
    async with open_hops() as hops:
        await hops.run("prepare the data directory", layout.create)
        yield DiskBlobStore(layout, hops)


def _find(path: Path, sha256: Sha256) -> Blob | None:
    try:
        return Blob(sha256, path.stat().st_size, path)
    except FileNotFoundError:
        return None


def _read(path: Path, limit: int) -> bytes | None:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise StorageTrouble(f"a stored file of {size} bytes is over the {limit} that are read at once")
        return file.read()


def _delete(path: Path) -> None:
    # Not synced: a blob that a power cut brings back is one that no row names.
    path.unlink(missing_ok=True)


def _sweep(parts: Path, older_than: float) -> int:
    """Bytes freed. Parts that their writers end meanwhile, here or in another process, are theirs."""
    freed = 0
    for part in parts.iterdir():
        try:
            facts = part.lstat()
            if facts.st_mtime < older_than:
                part.unlink()
                freed += facts.st_size
        except FileNotFoundError:
            continue
    return freed


def _probe(path: Path) -> None:
    try:
        with create_file(path) as file:
            write_all(file.fileno(), _PROBE)
            sync(file.fileno())
            if os.pread(file.fileno(), len(_PROBE), 0) != _PROBE:
                raise StorageTrouble("the disk does not return what was written to it")
    finally:
        path.unlink(missing_ok=True)
