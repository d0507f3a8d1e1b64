"""Guessing of secrets, slowed down: who was told 401 for unknown credentials too often must wait."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from proxy.core.errors import TooManyGuesses
from proxy.services.notes import NoteBoard

if TYPE_CHECKING:
    from proxy.services.notes import Notes

MAX_GUESSES: Final = 50
RING: Final = MAX_GUESSES
"""So many guesses of an address does each process remember; the cell behind them counts all that there have been."""
WINDOW: Final = 60.0
"""Seconds in which so many wrong guesses make the next one wait."""
MAX_ADDRESSES: Final = 4096
"""Addresses remembered by each process, those that guessed last: less than two megabytes."""


def make_guess_board(processes: int = 1) -> NoteBoard:
    """A row for each address: when its last guesses were, in a ring, and how many there have been."""
    return NoteBoard(MAX_ADDRESSES, RING + 1, processes)


class Guesses:
    """The last wrong guesses from each address, whichever process heard them.

    `now` is in seconds of a clock that only goes forward, the same for all processes.
    """

    def __init__(self, notes: Notes | None = None) -> None:
        self._notes = make_guess_board().notes() if notes is None else notes

    def check(self, address: str, now: float) -> None:
        """Raises TooManyGuesses for an address that must wait before unknown credentials are looked at."""
        told = (at for row in self._notes.all(address) for at in row[: min(int(row[RING]), RING)])
        recent = sorted(at for at in told if at > now - WINDOW)
        if len(recent) >= MAX_GUESSES:
            raise TooManyGuesses(math.ceil(recent[-MAX_GUESSES] + WINDOW - now))

    def note(self, address: str, now: float) -> None:
        """Unknown credentials from this address were answered with 401."""
        row = self._notes.own(address)
        row[int(row[RING]) % RING] = now
        row[RING] += 1
