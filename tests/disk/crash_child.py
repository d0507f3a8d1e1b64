"""Commits CONTENT to the store in DATA_DIR, and kills itself before its Nth call to the operating system.

Prints `committed` when the commit has returned. Run as `crash_child.py DATA_DIR N`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from proxy.disk import open_blob_store

if TYPE_CHECKING:
    from collections.abc import Callable

_P = ParamSpec("_P")
_T = TypeVar("_T")

CONTENT = b"0123456789" * 10_000


def mortal(call: Callable[_P, _T], steps: count[int], last: int) -> Callable[_P, _T]:
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)

    return wrapped


async def commit(data_dir: Path, last: int) -> None:
    async with open_blob_store(data_dir) as blobs:
        steps = count(1)
        for name in ("open", "write", "utime", "fsync", "replace", "unlink", "close"):
            setattr(os, name, mortal(getattr(os, name), steps, last))
        part = await blobs.writer()
        await part.write(CONTENT[:50_000])
        await part.write(CONTENT[50_000:])
        await part.commit()
        sys.stdout.write("committed\n")
        sys.stdout.flush()
        await part.close()


if __name__ == "__main__":
    asyncio.run(commit(Path(sys.argv[1]), int(sys.argv[2])))
