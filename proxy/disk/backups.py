"""A backup is a directory laid out as a data directory, with a marker that says that it is finished.

    DEST.partial-<random>/    one in the making; its `lock` is held, unless its maker was killed
    DEST/backup.json          the marker

Its directories are 0700 and its files 0600, as those of the data directory.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from proxy.core.errors import StorageFull, StorageTrouble
from proxy.disk.files import DIRECTORY_MODE, NO_SPACE, create_file, sync, sync_directory, write_all
from proxy.disk.lock import hold_data_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FORMAT: Final = 1
_MARKER: Final = "backup.json"
_RANDOM_BYTES: Final = 8


class Marker(msgspec.Struct, frozen=True):
    """`format` is of the directory's layout; the database in it has one of its own."""

    format: int
    created_at: datetime
    with_cache: bool


@contextmanager
def building(destination: Path, *, now: datetime, with_cache: bool) -> Iterator[Path]:
    """A directory to fill, which becomes the backup `destination` in one step when the block ends well.

    Otherwise it is removed, and so are those that killed runs for this destination left. What is put into it must be
    durable by itself; raises StorageTrouble where there is something at `destination`.
    """
    partial = _begin(destination)
    try:
        with hold_data_dir(partial):
            yield partial
            _finish(partial, destination, Marker(_FORMAT, now, with_cache))
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, StorageFull):
            raise StorageFull(f"no space left for the backup {destination}: nothing was kept of it") from error
        raise


def read_marker(backup: Path) -> Marker:
    """What a backup says of itself; raises StorageTrouble where it is none, or not one that this version knows."""
    try:
        marker = msgspec.json.decode((backup / _MARKER).read_bytes(), type=Marker)
    except (OSError, msgspec.MsgspecError) as error:
        raise StorageTrouble(f"{backup} is not a finished backup: it has no {_MARKER} that can be read") from error
    if marker.format > _FORMAT:
        raise StorageTrouble(
            f"{backup} was written by a newer pypi-sidecar (backup format {marker.format}); "
            f"this one knows up to {_FORMAT}"
        )
    return marker


def unwritable(path: Path, error: OSError) -> StorageTrouble:
    """For the person who named the path."""
    kind = StorageFull if error.errno in NO_SPACE else StorageTrouble
    return kind(f"{path} cannot be written: {error.strerror}")


def _begin(destination: Path) -> Path:
    """The new directory of a backup in the making."""
    _check_free(destination)
    partial = destination.with_name(f"{destination.name}.partial-{secrets.token_hex(_RANDOM_BYTES)}")
    try:
        _remove_leftovers(destination)
        partial.mkdir(mode=DIRECTORY_MODE)
    except OSError as error:
        raise unwritable(destination, error) from error
    return partial


def _check_free(destination: Path) -> None:
    if os.path.lexists(destination):
        raise StorageTrouble(f"{destination} exists already: name one that does not, or move it away")
    if not destination.parent.is_dir():
        raise StorageTrouble(f"there is no directory {destination.parent}: make it, or name another place")


def _remove_leftovers(destination: Path) -> None:
    """Of runs that were killed. One that is at work holds its lock."""
    for path in _partials(destination):
        with suppress(StorageTrouble), hold_data_dir(path):
            shutil.rmtree(path, ignore_errors=True)


def _partials(destination: Path) -> list[Path]:
    beginning = f"{destination.name}.partial-"
    length = len(beginning) + 2 * _RANDOM_BYTES
    siblings = destination.parent.iterdir()
    return [path for path in siblings if path.name.startswith(beginning) and len(path.name) == length]


def _finish(partial: Path, destination: Path, marker: Marker) -> None:
    """The order is the durability: all entries, then the name; then the lock, which nobody needs any more."""
    try:
        with create_file(partial / _MARKER) as file:
            write_all(file.fileno(), msgspec.json.encode(marker))
            sync(file.fileno())
        sync_directory(partial)
        partial.rename(destination)
        sync_directory(destination.parent)
        (destination / "lock").unlink()
    except OSError as error:
        raise unwritable(destination, error) from error
