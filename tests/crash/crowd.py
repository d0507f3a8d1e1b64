"""A crowd of clients at a server that is about to be killed: publishers, deleters, installers, all at once."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Condition, Event
from typing import TYPE_CHECKING

from tests.builders import build_wheel
from tests.crash.world import GONE
from tests.e2e.harness import PATIENCE
from tests.e2e.wire import check_intact, list_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.crash.world import World

PUBLISHERS, INSTALLERS = 3, 3
MAX_SIZE = 100_000
"""Bytes of the largest wheels that are published."""


class Crowd:
    """`seed` decides what they do, and makes the names of what they publish new ones. `done` counts what went well."""

    def __init__(self, world: World, seed: str) -> None:
        self._world = world
        self._seed = seed
        self._leave = Event()
        self._changed = Condition()
        self.done = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """They go on until the server is gone, or the block ends; raises what any of them saw go wrong."""
        with ThreadPoolExecutor(PUBLISHERS + INSTALLERS) as pool:
            running = [pool.submit(self._repeat, self._publish, f"p{each}") for each in range(PUBLISHERS)]
            running += [pool.submit(self._repeat, self._install, f"i{each}") for each in range(INSTALLERS)]
            try:
                yield
            finally:
                self._leave.set()
        for each in running:
            each.result()

    def wait(self, count: int) -> None:
        """Until so much is done; raises AssertionError where it takes too long."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.done >= count, PATIENCE)

    def _repeat(self, act: Callable[[random.Random, str], None], who: str) -> None:
        chance = random.Random(f"{self._seed} {who}")  # noqa: S311 - a seeded choice, no secret
        number = 0
        with suppress(*GONE):
            while not self._leave.is_set():
                number += 1
                act(chance, f"{who}-{self._seed}-{number}")
                with self._changed:
                    self.done += 1
                    self._changed.notify_all()

    def _publish(self, chance: random.Random, name: str) -> None:
        """Something new; half of it is deleted, and some of that is published again."""
        built = build_wheel(name, "1.0", size_padding=chance.randrange(MAX_SIZE))
        self._world.publish(name, built)
        if chance.random() < 0.5:
            self._world.delete(name)
            if chance.random() < 0.3:
                self._world.publish(name, built)

    def _install(self, chance: random.Random, _: str) -> None:
        name = chance.choice(sorted(self._world.forwarded))
        check_intact(chance.choice(list_files(self._world.page_of(name))))
