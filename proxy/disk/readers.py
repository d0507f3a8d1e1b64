"""Reading a part as a file, while others read it elsewhere and more is written to it."""

from __future__ import annotations

import os
from io import FileIO, RawIOBase, UnsupportedOperation
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class PartReader(RawIOBase):
    """The first `size` bytes of the file behind `fd`, which it owns.

    A duplicated descriptor shares its position with the writer's, so this one keeps a position of its own.
    """

    def __init__(self, fd: int, size: int) -> None:
        self._file = FileIO(fd)
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        with memoryview(buffer).cast("B") as view:
            wanted = max(0, min(len(view), self._size - self._position))
            data = os.pread(self._file.fileno(), wanted, self._position)
            view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        if whence not in starts:
            raise UnsupportedOperation(f"cannot seek from {whence}")
        if starts[whence] + offset < 0:
            raise ValueError("a position is not negative")
        self._position = starts[whence] + offset
        return self._position

    def close(self) -> None:
        self._file.close()
        super().close()
