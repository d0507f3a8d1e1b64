"""Runs a command again and again, killed before a step that is EVERY steps later each time, until it comes to its end.

Run as `mortal.py PLACE EVERY WORDS...`. In each WORD `@` stands for a directory of that run's own, `PLACE/N` of the
one that was killed before its Nth step. Steps are what changes the disk: calls to the operating system, and the two
that SQLite's library does by itself.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from proxy import compose
from proxy.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_P = ParamSpec("_P")
_T = TypeVar("_T")

STEPS = [
    *((os, name) for name in ("write", "fsync", "replace", "rename", "unlink")),
    *((compose, name) for name in ("copy_database", "seal_database")),
]


def mortal(call: Callable[_P, _T], steps: count[int], last: int) -> Callable[_P, _T]:
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)

    return wrapped


def run(words: Sequence[str], last: int) -> None:
    """Does not return."""
    steps = count(1)
    for module, name in STEPS:
        setattr(module, name, mortal(getattr(module, name), steps, last))
    main(words)


def killed_before(last: int, place: Path, words: Sequence[str]) -> bool:
    """Whether the run was killed; exits with its status where that is not 0."""
    own = place / str(last)
    own.mkdir()
    child = os.fork()
    if not child:
        run([word.replace("@", str(own)) for word in words], last)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in {0, -signal.SIGKILL}:
        sys.exit(status)
    return status != 0


if __name__ == "__main__":
    place, every, command = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    for step in count(1, every):
        if not killed_before(step, place, command):
            break
