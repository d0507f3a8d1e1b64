"""Work that its answer need not wait for: it is done shortly after it, or as soon as somebody needs it done."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

PAUSE = 1.0
"""Seconds that the answer is given before the work takes the processor from it."""
MAX_ASIDE = 4
"""Pieces of work put aside at once: each holds what it works on. A further one waits for the first."""

K = TypeVar("K", bound="Hashable")


class _Job(NamedTuple):
    task: asyncio.Task[None]
    needed: asyncio.Event


class Aside(Generic[K]):
    """For each key one piece of work at a time, in the order in which they were put aside."""

    def __init__(self, pause: float = PAUSE) -> None:
        self._pause = pause
        self._jobs: dict[K, _Job] = {}

    async def put(self, key: K, work: Callable[[], Awaitable[None]]) -> None:
        """Have `work` done, after what was put aside for `key` before. It is to raise nothing."""
        while key in self._jobs or len(self._jobs) >= MAX_ASIDE:
            await self.settle(key if key in self._jobs else next(iter(self._jobs)))
        needed = asyncio.Event()
        self._jobs[key] = _Job(asyncio.create_task(self._do(key, needed, work)), needed)

    async def settle(self, key: K) -> None:
        """Until nothing is left to do for `key`."""
        if (job := self._jobs.get(key)) is not None:
            job.needed.set()
            await asyncio.wait({job.task})

    async def close(self) -> None:
        """Do what is left."""
        while self._jobs:
            await self.settle(next(iter(self._jobs)))

    async def _do(self, key: K, needed: asyncio.Event, work: Callable[[], Awaitable[None]]) -> None:
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(needed.wait(), self._pause)
            await work()
        finally:
            del self._jobs[key]
