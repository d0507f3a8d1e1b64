"""What a process and its children have taken so far, read from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def tree(root: int, proc: Path = _PROC) -> list[int]:
    """The process and its living descendants; empty when it is gone."""
    try:
        found = [root] if (proc / str(root)).is_dir() else []
        for task in (proc / str(root) / "task").iterdir():
            for child in (task / "children").read_text().split():
                found += tree(int(child), proc)
    except (FileNotFoundError, ProcessLookupError):
        return []
    return found


def cpu_seconds(root: int, proc: Path = _PROC) -> float:
    """User and system time of the tree, ended and awaited children included."""
    return sum(_cpu_ticks(proc / str(pid) / "stat") for pid in tree(root, proc)) / _TICKS


def peak_bytes(root: int, proc: Path = _PROC) -> int:
    """The sum of each living process's own highest resident memory (VmHWM)."""
    return sum(_field(proc / str(pid) / "status", "VmHWM") for pid in tree(root, proc))


def pss_bytes(root: int, proc: Path = _PROC) -> int:
    """Resident memory now; what processes share counts once (Pss)."""
    return sum(_field(proc / str(pid) / "smaps_rollup", "Pss") for pid in tree(root, proc))


def _cpu_ticks(stat: Path) -> int:
    try:
        words = stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(map(int, words[11:15]))  # utime, stime, cutime, cstime


def _field(path: Path, name: str) -> int:
    """Bytes of the line `name: 123 kB`; 0 where there is none."""
    try:
        lines = path.read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    values = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(next(values, "0")) * 1024
