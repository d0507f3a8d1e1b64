"""The blob store in a directory."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from proxy.core.errors import StorageTrouble
from proxy.disk import removal, stored
from proxy.disk.files import create_file, sync, write_all
from proxy.disk.holds import Held, alone_with
from proxy.disk.hops import Hops, open_hops
from proxy.disk.layout import Layout
from proxy.disk.parts import DiskPart
from proxy.disk.shown import DiskShownPart, open_shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from pathlib import Path

    from proxy.core.digests import Sha256
    from proxy.ports import Blob, BlobFacts

_PROBE = bytes(range(256)) * 16
"""4 KiB: fewer might find room inside an inode of a full disk."""
_ASK_AGAIN = 0.05
"""Seconds between two tries to hold the store still."""


class DiskBlobStore:
    """A BlobStore. Several processes may use one directory: every step between them is a rename or an unlink, under
    the locks of `proxy.disk.holds`.
    """

    def __init__(self, layout: Layout, hops: Hops) -> None:
        self._layout = layout
        self._hops = hops

    async def writer(self, *, full_digests: bool = False) -> DiskPart:
        return DiskPart(self._layout, self._hops, full_digests=full_digests)

    async def find(self, sha256: Sha256) -> Blob | None:
        return await self._hops.run("look for a file", stored.find, self._layout.blob(sha256), sha256)

    async def find_shown(self, sha256: Sha256) -> DiskShownPart | None:
        opened = await self._hops.run("look for a part", open_shown, self._layout, sha256)
        return None if opened is None else DiskShownPart(self._layout.blob(sha256), self._hops, *opened)

    async def read(self, sha256: Sha256, *, limit: int) -> bytes | None:
        return await self._hops.run("read a file", stored.read, self._layout.blob(sha256), limit)

    async def list_blobs(self, prefix: str) -> list[BlobFacts]:
        return await self._hops.run("list files", stored.list_blobs, self._layout.blobs / prefix)

    async def is_intact(self, sha256: Sha256) -> bool | None:
        return await self._hops.run("read a file", stored.is_intact, self._layout.blob(sha256), sha256)

    async def delete(self, sha256: Sha256, *, older_than: datetime | None = None) -> bool:
        before = older_than.timestamp() if older_than else None
        return await self._hops.run("remove a file", removal.delete, self._layout.blob(sha256), before)

    async def quarantine(self, sha256: Sha256) -> bool:
        return await self._hops.run("put a file aside", removal.quarantine, self._layout, sha256)

    async def list_held(self) -> frozenset[str]:
        return await self._hops.run("look at locks", removal.list_held, self._layout)

    @asynccontextmanager
    async def held_still(self) -> AsyncIterator[None]:
        """As the port says; it waits for removals that are at work, and for who else holds the store."""
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(alone_with(self._layout.blobs))
                    break
                except Held:
                    await asyncio.sleep(_ASK_AGAIN)
            yield

    async def sweep(self, older_than: datetime) -> int:
        return await self._hops.run("remove old parts", removal.sweep, self._layout.parts, older_than.timestamp())

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


def _probe(path: Path) -> None:
    try:
        with create_file(path) as file:
            write_all(file.fileno(), _PROBE)
            sync(file.fileno())
            if os.pread(file.fileno(), len(_PROBE), 0) != _PROBE:
                raise StorageTrouble("the disk does not return what was written to it")
    finally:
        path.unlink(missing_ok=True)
