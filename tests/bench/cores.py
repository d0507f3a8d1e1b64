"""Who runs where: the server under test has the first core for itself, its load the last."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

_CORES: Final = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]  # Linux alone has it
SERVER: Final = frozenset(_CORES[:1])
LOAD: Final = frozenset(_CORES[-1:])
BOTH: Final = SERVER | LOAD


def pinned(cores: Collection[int], *command: str) -> list[str]:
    """The command on these cores alone; `taskset` becomes the command, so that the process id stays."""
    return ["taskset", "-c", ",".join(map(str, sorted(cores))), *command]


def pin_this_process() -> None:
    """The bench is part of the load: it downloads, and waits for answers."""
    os.sched_setaffinity(0, LOAD)
