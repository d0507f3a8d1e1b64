"""A mark that every process sees change when what is published changes, without asking the database.

Eight bytes in a small file beside it: whoever has committed a publication writes eight new ones by chance before it
says so to anybody, and all others look at them through a mapping. What was read from the rows after the mark was
looked at holds as long as the mark does. Chance rather than a count: two writers who count on from one number could
bring an old value back.

A kill between the commit and the new mark leaves the old one standing, so nobody may rely on it for long
(`services.local_memory`).
"""

from __future__ import annotations

import logging
import mmap
import os
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_SIZE: Final = 8
_MODE: Final = 0o600


class Generation:
    """The mark in the file `path`, which is made when it is first looked at or changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self._map: mmap.mmap | None = None
        self._failed = False

    def look(self) -> bytes:
        """The mark as it is now; where the disk gives none, another one each time, by which nothing ever holds."""
        if self._map is None and not self._failed:
            self._map = self._mapped()
        return self._map[:_SIZE] if self._map else secrets.token_bytes(_SIZE)

    def renew(self) -> None:
        """Change it. Where the disk does not take it the others see what changed a little later.

        Written by call and not through the mapping, where a full disk would end the process.
        """
        try:
            os.pwrite(self._opened(), secrets.token_bytes(_SIZE), 0)
        except OSError as error:
            logger.warning("other processes see what was published a moment later: %r", error)

    def close(self) -> None:
        if self._map is not None:
            self._map.close()
        if self._fd is not None:
            os.close(self._fd)
        self._map = self._fd = None

    def _mapped(self) -> mmap.mmap | None:
        try:
            fd = self._opened()
            if os.fstat(fd).st_size < _SIZE:
                os.pwrite(fd, secrets.token_bytes(_SIZE), 0)
            return mmap.mmap(fd, _SIZE, prot=mmap.PROT_READ)
        except OSError as error:
            logger.warning("what is published is read anew for each answer: %r", error)
            self._failed = True
            return None

    def _opened(self) -> int:
        if self._fd is None:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        return self._fd
