"""The members of an archive, and what no archive may do with them: climb out, repeat a name, or fill the disk."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from proxy.core.errors import BadArchive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_MEMBERS = 200_000
MAX_PATH = 4096  # characters: what Linux takes
MAX_ALL_PATHS = 16 * 1024 * 1024  # characters
FREE_INFLATION = 100 * 1024 * 1024
MAX_INFLATION = 100  # times the archive's size
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
_DRIVE = re.compile(r"[A-Za-z]:")
_NOT_NAMES = frozenset({"", ".", ".."})


class Member(NamedTuple):
    """An entry of an archive: its path without a directory's closing slash, and its bytes.

    `content` can be read until the next member is asked for. What the caller leaves of it is read and checked all
    the same.
    """

    path: str
    is_file: bool
    content: Iterator[bytes]


class Allowance:
    """How many bytes may yet come out of an archive of `size` bytes."""

    def __init__(self, size: int) -> None:
        self._left = max(FREE_INFLATION, MAX_INFLATION * size)

    def count(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """`pieces`; raises BadArchive when they are more than is left."""
        for piece in pieces:
            self._left -= len(piece)
            if self._left < 0:
                raise BadArchive("the archive inflates to far more than its size")
            yield piece


class Paths:
    """The paths of an archive: each one safe, and there once."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self._others: set[str] = set()
        self._characters = 0

    def add(self, path: str, *, is_file: bool) -> None:
        """Take one path in; raises BadArchive for what an archive must not hold."""
        check_path(path)
        if path in self.files or path in self._others:
            raise BadArchive(f"the archive has two members of the name {shown(path)}")
        (self.files if is_file else self._others).add(path)
        self._characters += len(path)
        if len(self.files) + len(self._others) > MAX_MEMBERS or self._characters > MAX_ALL_PATHS:
            raise BadArchive("the archive has too many members")

    def tops(self) -> set[str]:
        """The first components of all paths."""
        return {path.partition("/")[0] for path in chain(self.files, self._others)}


def check_path(path: str) -> None:
    """Raises BadArchive unless `path`, joined to any directory on any system, names something below it."""
    parts = path.split("/")
    if len(path) > MAX_PATH or not _NOT_NAMES.isdisjoint(parts) or _UNSAFE.search(path) or _DRIVE.match(path):
        raise BadArchive(f"the archive has a member of the unsafe name {shown(path)}")


def shown(path: str) -> str:
    """`path` as it can stand in a message: ASCII, on one line, not long."""
    return ascii(path[:80])
