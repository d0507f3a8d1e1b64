"""Names that an upstream was just heard not to have, told to the other processes of the server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from proxy.services.notes import NoteBoard

if TYPE_CHECKING:
    from proxy.core.names import ProjectName
    from proxy.services.notes import Notes

MAX_ABSENCES: Final = 10_000
"""Names remembered by each process, 16 bytes each."""


def make_absence_board(processes: int) -> NoteBoard:
    """A row for each name: since when it is absent, or below zero, there."""
    return NoteBoard(MAX_ABSENCES, 1, processes)


class Absences:
    """What was heard last counts, by whichever process."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def since(self, upstream: str, name: ProjectName) -> datetime | None:
        """When the upstream said that it has no such project; None where it said something else since."""
        heard = self._heard_last(upstream, name)
        return datetime.fromtimestamp(heard, UTC) if heard > 0 else None

    def note(self, upstream: str, name: ProjectName, now: datetime) -> None:
        self._notes.own(_key(upstream, name))[0] = now.timestamp()

    def end(self, upstream: str, name: ProjectName, now: datetime) -> None:
        """The upstream has it."""
        if self._heard_last(upstream, name) > 0:
            self._notes.own(_key(upstream, name))[0] = -now.timestamp()

    def _heard_last(self, upstream: str, name: ProjectName) -> float:
        return max((row[0] for row in self._notes.all(_key(upstream, name))), key=abs, default=0.0)


def _key(upstream: str, name: ProjectName) -> str:
    return f"{upstream} {name}"
