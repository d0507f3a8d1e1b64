from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Bulletin:
    """A condition variable that threads and event loops can wait on alike.

    Change what a predicate looks at, then `post()`; every waiter looks again. Nobody polls and nothing is missed:
    a waiter looks once more after it has enlisted.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wakers: list[Callable[[], object]] = []

    def post(self) -> None:
        """Wake every waiter; from any thread."""
        with self._changed:
            self._changed.notify_all()
            wakers, self._wakers = self._wakers, []
        for wake in wakers:
            with contextlib.suppress(RuntimeError):  # its event loop has closed: nobody waits there any more
                wake()

    async def until(self, predicate: Callable[[], bool], seconds: float | None) -> None:
        """Wait in an event loop until `predicate()`; raises TimeoutError after `seconds`."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            while not predicate():
                woken = asyncio.Event()
                with self._changed:
                    self._wakers.append(functools.partial(loop.call_soon_threadsafe, woken.set))
                if not predicate():
                    await woken.wait()

    def block_until(self, predicate: Callable[[], bool], seconds: float | None) -> None:
        """Wait in a thread until `predicate()`; raises TimeoutError after `seconds`."""
        with self._changed:
            if not self._changed.wait_for(predicate, seconds):
                raise TimeoutError
