"""Restoring into a data directory, which is whole or nothing starts on it.

Until all is there, a file that no version takes for a database lies in the database's place; the last step puts the
database there. The directory itself is not replaced: it may be a mount point.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from proxy.core.errors import StorageTrouble
from proxy.disk.backups import unwritable
from proxy.disk.files import create_file, sync, sync_directory, write_all
from proxy.disk.lock import hold_data_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_UNFINISHED: Final = b"Restoring a backup into this directory did not end. Run `pypi-sidecar restore` again.\n"
_NOBODYS: Final = frozenset({"lock", "lost+found"})
"""What an empty data directory may hold: the lock is taken before one looks, and a mount point has the other."""
_RESTORED: Final = frozenset({"blobs", "parts", "reserve"})
"""What an interrupted run made, and a server that was tried on it."""


@contextmanager
def restoring(data_dir: Path, database: str) -> Iterator[Path]:
    """The path for a database that becomes `database` in `data_dir`, last of all, when the block ends well.

    Otherwise nothing starts on the directory until something is restored into it. Raises StorageTrouble where it is in
    use or not empty; what a restoring that did not end left there may be.
    """
    with hold_data_dir(data_dir):
        placed, staged = data_dir / database, data_dir / f"{database}.restored"
        try:
            _check_empty(data_dir, placed, staged)
            _place_stopper(placed, staged)
        except OSError as error:
            raise unwritable(data_dir, error) from error
        yield staged
        try:
            staged.replace(placed)
            sync_directory(data_dir)
        except OSError as error:
            raise unwritable(data_dir, error) from error


def _check_empty(data_dir: Path, placed: Path, staged: Path) -> None:
    allowed = _NOBODYS | {staged.name}
    if _is_stopper(placed):
        allowed |= _RESTORED | {placed.name} | {path.name for path in _journals(staged)}
    if found := sorted(path.name for path in data_dir.iterdir() if path.name not in allowed):
        raise StorageTrouble(
            f"{data_dir} is not empty (it has {', '.join(found[:3])}): move what is there away, "
            "or restore into another --data-dir"
        )


def _is_stopper(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_UNFINISHED)) == _UNFINISHED
    except FileNotFoundError:
        return False


def _place_stopper(placed: Path, staged: Path) -> None:
    """Under another name at first: an empty file would be taken for a new database."""
    for path in (staged, *_journals(staged)):
        path.unlink(missing_ok=True)
    with create_file(staged) as file:
        write_all(file.fileno(), _UNFINISHED)
        sync(file.fileno())
    staged.replace(placed)
    sync_directory(placed.parent)


def _journals(staged: Path) -> list[Path]:
    """What SQLite keeps beside a database that is open."""
    return [staged.with_name(f"{staged.name}-{kind}") for kind in ("journal", "shm", "wal")]
