"""A disk of a few MiB that nobody else sees: a tmpfs in a mount namespace, which a keeper holds between two servers.

    with SmallDisk(tmp_path / "disk") as disk:
        with Server(disk.data_dir, command=[*disk.command, "serve"]) as server:
            disk.fill()
            ...
            disk.free()

Linux only, as root or where users may make namespaces.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Final, Self

import pytest

from tests.e2e.harness import PATIENCE, PROGRAM, clean_env

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_BLOCK: Final = 4096
_READY: Final = "ready\n"
_IS_ROOT: Final = os.getuid() == 0
_UNSHARE: Final = ("unshare", "--mount", *(() if _IS_ROOT else ("--user", "--map-root-user")))
_ENTER: Final = ("nsenter", "--mount", *(() if _IS_ROOT else ("--user", "--preserve-credentials")))
# The keeper ends with the pipe that it reads, so it outlives no test; it writes once the disk is there.
_KEEP: Final = 'mount -t tmpfs -o "$1" tmpfs "$2" && echo ready && cat >/dev/null'


class SmallDisk:
    """`size` and `inodes` (None: plenty) are the tmpfs mount options."""

    def __init__(self, mount_point: Path, *, size: str, inodes: int | None = None) -> None:
        mount_point.mkdir()
        self.data_dir = mount_point / "data"
        self._mount_point = mount_point
        self._options = f"size={size}" + (f",nr_inodes={inodes}" if inodes else "")

    def __enter__(self) -> Self:
        if not all(map(shutil.which, ("unshare", "nsenter", "mount"))):
            _impossible("a small disk needs the commands of util-linux")
        command = [*_UNSHARE, "sh", "-c", _KEEP, "sh", self._options, self._mount_point]
        self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._keeper.stdout
        if self._keeper.stdout.readline() != _READY:
            self.__exit__()
            _impossible("a small disk needs the right to mount: root, or user namespaces")
        return self

    def __exit__(self, *_: object) -> None:
        self._keeper.communicate(timeout=PATIENCE)

    @property
    def command(self) -> Sequence[str]:
        """`pypi-sidecar`, run within."""
        return (*self._enter, *PROGRAM)

    def seen(self, path: Path) -> Path:
        """A path within, as this process can open it."""
        return type(path)(f"/proc/{self._keeper.pid}/root{path}")

    def run(self, *command: str | Path) -> None:
        """Run a command to its end; it must succeed."""
        subprocess.run([*map(str, command)], check=True, capture_output=True, timeout=PATIENCE, env=clean_env())

    def fill(self) -> None:
        """Take all blocks."""
        with self._ballast.open("ab", buffering=0) as file, out_of_space():
            while True:
                file.write(bytes(_BLOCK))

    def free(self) -> None:
        """Give back what `fill` took."""
        self._ballast.unlink()

    def take_inodes(self) -> None:
        """Make empty files until there can be no more."""
        self._crowd.mkdir()
        with out_of_space():
            for number in count():
                (self._crowd / str(number)).touch()

    def free_inodes(self) -> None:
        for file in self._crowd.iterdir():
            file.unlink()
        self._crowd.rmdir()

    def forbid_new_files(self) -> None:
        """Mount the data directory over itself, read-only; files that are open stay as they are."""
        self.run(*self._enter, "mount", "--bind", self.data_dir, self.data_dir)
        self.run(*self._enter, "mount", "-o", "remount,bind,ro", self.data_dir)

    def allow_new_files(self) -> None:
        self.run(*self._enter, "mount", "-o", "remount,bind,rw", self.data_dir)

    @property
    def _enter(self) -> Sequence[str]:
        return (*_ENTER, f"--target={self._keeper.pid}", "--")

    @property
    def _ballast(self) -> Path:
        return self.seen(self._mount_point) / "ballast"

    @property
    def _crowd(self) -> Path:
        return self.seen(self._mount_point) / "crowd"


@contextmanager
def out_of_space() -> Iterator[None]:
    """What is done inside ends by that."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def _impossible(reason: str) -> None:
    """Where everything must run it is a failure; elsewhere the test is left out."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
