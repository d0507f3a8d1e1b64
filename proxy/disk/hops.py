"""Blocking calls off the event loop, and what their errors mean.

The threads are few and the store's own: a slow disk holds up neither the event loop nor other users of the loop's
default threads, and many requests at once become a queue, not many threads.
"""

from __future__ import annotations

import asyncio
import errno
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from proxy.core.errors import StorageFull, StorageTrouble
from proxy.disk.files import NO_SPACE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

THREADS = 8


class Hops:
    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    async def run(self, doing: str, call: Callable[[*_Ts], _T], *args: *_Ts) -> _T:
        """`call(*args)` on a thread; its OSError is raised as StorageTrouble that says what it was `doing`.

        A call that runs when its caller is cancelled runs on to its end, unseen; one that still waits is dropped.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call, *args)
        except OSError as error:
            raise trouble(doing, error) from error


@asynccontextmanager
async def open_hops() -> AsyncIterator[Hops]:
    """Threads for the block; at its end they finish what they were given."""
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="disk")
    try:
        yield Hops(pool)
    finally:
        await asyncio.to_thread(pool.shutdown)


def trouble(doing: str, error: OSError) -> StorageTrouble:
    """StorageFull or StorageTrouble, by errno. The system's own text may hold a path, so it is left to the cause."""
    code = errno.errorcode.get(error.errno or 0, "no errno")
    if error.errno in NO_SPACE:
        return StorageFull(f"no space left to {doing} ({code}): free some where the data directory lies")
    return StorageTrouble(f"cannot {doing} ({code}): check the disk and the owner of the data directory")
