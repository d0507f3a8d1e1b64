"""A part as a file in parts/, from its first byte to its name by digest."""

from __future__ import annotations

import os
from contextlib import suppress
from io import BufferedReader, BytesIO
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO, TypeVar, TypeVarTuple

from proxy.core.digests import FullHasher, Sha256Hasher
from proxy.core.errors import StorageTrouble
from proxy.disk.files import make_young, sync, write_all
from proxy.disk.holds import create_part, hold_directory
from proxy.disk.hops import trouble
from proxy.disk.readers import PartReader
from proxy.ports import Blob

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO

    from proxy.core.digests import Digests, Hasher, Sha256
    from proxy.disk.hops import Hops
    from proxy.disk.layout import Layout

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class DiskPart:
    """A BlobWriter. Whoever asked for it closes it in every case; until then what it committed can be read here, even
    when the blob is deleted meanwhile. One that is dropped unclosed frees its descriptor with a ResourceWarning.

    The file is made by the first write (or the commit of no bytes), so a cancelled `writer()` leaves nothing. While it
    is open its lock tells every process that it is no leftover, and from the commit until it lets go the lock on the
    blob's directory that a row may be on its way.
    After a failed or cancelled write or commit, bytes may be missing: it can be read and closed, nothing else.

    Two locks guard it, taken on threads. `_turn`: write, commit and close come one after the other, also while a call
    whose caller was cancelled is still at work. `_descriptor`, never held for long: nobody duplicates a descriptor
    that is being closed. Readers work on a duplicate, so they neither wait for an fsync nor are cut short by a close.
    """

    def __init__(self, layout: Layout, hops: Hops, *, full_digests: bool) -> None:
        self._layout = layout
        self._hops = hops
        self._path = layout.new_part()
        self._hasher: Hasher = FullHasher() if full_digests else Sha256Hasher()
        self._turn = Lock()
        self._descriptor = Lock()
        self._file: FileIO | None = None
        self._held: int | None = None  # the blob's directory, open and locked
        self._size = 0
        self._whole = True
        self._closed = False
        self._blob: Blob | None = None

    @property
    def size(self) -> int:
        return self._size

    def digests(self) -> Digests:
        return self._hasher.digests()

    def show(self, sha256: Sha256, length: int | None) -> None:
        """As the port says; its name is what shows it."""
        self._path = self._layout.shown_part(sha256, length)

    async def hide(self) -> None:
        await self._hops.run("remove an unfinished file", self._hide)

    async def write(self, data: bytes) -> None:
        await self._change("write a file", self._write, data)

    async def read(self, offset: int, size: int) -> bytes:
        return await self._hops.run("read a file", self._read, offset, size)

    def reader(self) -> BinaryIO:
        """As the port says; it holds a descriptor of its own, and its reads raise OSError as any file's."""
        try:
            fd = self._duplicate()
        except OSError as error:
            raise trouble("read a file", error) from error
        return BytesIO() if fd is None else BufferedReader(PartReader(fd, self._size))

    async def commit(self) -> Blob:
        """As the port says; repeated, it returns the same blob."""
        return await self._change("keep a file", self._commit)

    async def let_go(self) -> None:
        await self._hops.run("let go of a file", self._let_go)

    async def close(self) -> None:
        await self._hops.run("remove an unfinished file", self._close)

    async def _change(self, doing: str, call: Callable[[*_Ts], _T], *args: *_Ts) -> _T:
        try:
            return await self._hops.run(doing, call, *args)
        except BaseException:  # a cancelled write counts: whether its bytes arrived is not known
            self._whole = False
            raise

    def _write(self, data: bytes) -> None:
        with self._turn:
            write_all(self._open().fileno(), data)
            self._hasher.update(data)
            self._size += len(data)

    def _open(self) -> FileIO:
        """The file, ready for more bytes."""
        if self._closed or self._blob or not self._whole:
            raise StorageTrouble("this part has ended or failed: begin a new one")
        if self._file is None:
            self._file = create_part(self._path)
        return self._file

    def _read(self, offset: int, size: int) -> bytes:
        fd = self._duplicate()
        if fd is None:
            return b""
        try:
            # Not to the end of the file: bytes of a write at work (or half failed) are not written yet.
            return os.pread(fd, max(0, min(size, self._size - offset)), offset)
        finally:
            os.close(fd)

    def _duplicate(self) -> int | None:
        """A descriptor that outlives `close`; None before the first write."""
        with self._descriptor:
            if self._closed:
                raise StorageTrouble("this part was closed and can no longer be read")
            return None if self._file is None else os.dup(self._file.fileno())

    def _commit(self) -> Blob:
        with self._turn:
            if self._blob is None:
                self._blob = self._keep(self._open())
            return self._blob

    def _keep(self, file: FileIO) -> Blob:
        """The order is the durability: bytes, then the name, then the directory entry.

        A blob of this digest that is there is replaced: whoever has it open goes on with the old file, one that rotted
        is healed, and the new age keeps it from those who remove old blobs that no row names yet.
        """
        sha256 = self._hasher.digests().sha256
        path = self._layout.blob(sha256)
        self._held = hold_directory(path.parent)
        make_young(file.fileno())
        sync(file.fileno())
        os.replace(self._path, path)  # noqa: PTH105
        sync(self._held)
        return Blob(sha256, self._size, path)

    def _hide(self) -> None:
        with self._turn, suppress(OSError):
            self._path.unlink()  # a committed one has another name by now

    def _close(self) -> None:
        """A file that cannot be removed now is a leftover for the sweep, and no trouble of whoever is done with it."""
        with self._turn:
            with self._descriptor:
                self._closed = True
                if self._file is not None:
                    self._file.close()
            with suppress(OSError):
                self._path.unlink()  # a committed one has another name by now
            self._unhold()

    def _let_go(self) -> None:
        with self._turn:
            self._unhold()

    def _unhold(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None
