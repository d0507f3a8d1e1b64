"""Parts of other processes, read along while they are written."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from proxy.core.errors import StorageTrouble
from proxy.disk.hops import trouble

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.core.digests import Sha256
    from proxy.disk.hops import Hops
    from proxy.disk.layout import Layout


class DiskShownPart:
    """A ShownPart. Its descriptor outlives the part's name, so what was written can be read whatever becomes of it."""

    def __init__(self, blob: Path, hops: Hops, fd: int, length: int | None) -> None:
        self._blob = blob
        self._hops = hops
        self._fd: int | None = fd
        self._length = length

    @property
    def length(self) -> int | None:
        return self._length

    @property
    def size(self) -> int:
        """As the port says: the facts of an open file are in memory."""
        try:
            return os.fstat(self._opened()).st_size
        except OSError as error:
            raise trouble("read a part", error) from error

    async def read(self, offset: int, size: int) -> bytes:
        return await self._hops.run("read a part", self._read, offset, size)

    async def is_kept(self) -> bool:
        return await self._hops.run("look for a file", self._is_kept)

    async def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            await self._hops.run("close a part", os.close, fd)

    def _read(self, offset: int, size: int) -> bytes:
        return os.pread(self._opened(), size, offset)

    def _is_kept(self) -> bool:
        """A blob of the same digest that somebody else committed is no proof of these bytes."""
        try:
            return os.path.samestat(self._blob.stat(), os.fstat(self._opened()))
        except FileNotFoundError:
            return False

    def _opened(self) -> int:
        if self._fd is None:
            raise StorageTrouble("this part was closed and can no longer be read")
        return self._fd


def open_shown(layout: Layout, sha256: Sha256) -> tuple[int, int | None] | None:
    """A descriptor of the part shown by this digest, and its length; None where nobody is writing one. It blocks."""
    for path in layout.parts.glob(f"{sha256}.*"):
        if (fd := _open_live(path)) is not None:
            length = path.name.split(".")[1]
            return fd, int(length) if length else None
    return None


def _open_live(path: Path) -> int | None:
    """None for a part that is gone, or that its writer has left behind: whoever has it open holds it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return fd
    except OSError:
        os.close(fd)
        raise
    os.close(fd)
    return None
