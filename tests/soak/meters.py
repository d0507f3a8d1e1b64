"""What the server takes of the machine. Where there is no /proc, only the disk is measured."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Reading(NamedTuple):
    """Bytes of memory, open descriptors, threads; bytes of blobs and parts on disk. None: not to be known here."""

    rss: int | None
    descriptors: int | None
    threads: int | None
    stored: int


def read_meters(pid: int, data_dir: Path) -> Reading:
    """What a running process takes now."""
    status = _status(Path(f"/proc/{pid}/status"))
    return Reading(
        rss=status["VmRSS"] * 1024 if status else None,
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())) if status else None,
        threads=status["Threads"] if status else None,
        stored=_size(data_dir / "blobs") + _size(data_dir / "parts"),
    )


def _status(path: Path) -> dict[str, int]:
    """The lines with numbers, by name; those of sizes count KiB."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    words = (line.split() for line in lines)
    return {name.rstrip(":"): int(rest[0]) for name, *rest in words if rest and rest[0].isdigit()}


def _size(folder: Path) -> int:
    """Bytes of the files below; those that go meanwhile count nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
