"""One client: now it reads, now it publishes, now it behaves badly."""

from __future__ import annotations

import traceback
from random import Random
from typing import TYPE_CHECKING

from tests.soak.publishing import Publishing
from tests.soak.reading import Reading
from tests.soak.rudeness import Rudeness

if TYPE_CHECKING:
    import threading

    from tests.soak.exchange import World


class Client:
    """Of the same seed and number it wants the same things in the same order."""

    def __init__(self, world: World, seed: int, number: int) -> None:
        self.name = f"client-{number}"
        self._tally = world.tally
        self._random = Random(f"{seed}/{number}")  # noqa: S311 - to be repeated
        self._publishing = Publishing(world, self._random, f"own-{number}")
        manners = (Reading(world, self._random), self._publishing, Rudeness(world, self._random))
        self._weights = {action: weight for each in manners for action, weight in each.actions.items()}

    def run(self, ending: threading.Event) -> None:
        actions, weights = [*self._weights], [*self._weights.values()]
        while not ending.is_set():
            (action,) = self._random.choices(actions, weights)
            try:
                action()
            except Exception:  # noqa: BLE001 - whatever an answer did to its client is a fault of the answer
                self._tally.blame(f"{action.__name__}: {traceback.format_exc(limit=-3)}")

    def check_published(self) -> None:
        """All that it published and did not delete is there."""
        self._publishing.check_all()
