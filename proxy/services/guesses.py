"""Guessing of secrets, slowed down: who was told 401 for unknown credentials too often must wait."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from cachetools import LRUCache

from proxy.core.errors import TooManyGuesses

MAX_GUESSES: Final = 50
WINDOW: Final = 60.0
"""Seconds in which so many wrong guesses make the next one wait."""
MAX_ADDRESSES: Final = 4096
"""Addresses remembered, those that guessed last: some megabytes at most."""


class Guesses:
    """The last wrong guesses from each address. `now` is in seconds of a clock that only goes forward."""

    def __init__(self) -> None:
        self._wrong: LRUCache[str, deque[float]] = LRUCache(MAX_ADDRESSES)

    def check(self, address: str, now: float) -> None:
        """Raises TooManyGuesses for an address that must wait before unknown credentials are looked at."""
        wrong = self._wrong.get(address)
        if wrong is not None and len(wrong) == MAX_GUESSES and (wait := wrong[0] + WINDOW - now) > 0:
            raise TooManyGuesses(math.ceil(wait))

    def note(self, address: str, now: float) -> None:
        """Unknown credentials from this address were answered with 401."""
        wrong = self._wrong.get(address)
        if wrong is None:
            self._wrong[address] = wrong = deque(maxlen=MAX_GUESSES)
        wrong.append(now)
