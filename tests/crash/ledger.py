"""What the callers of a server know: what they were told is done, and what they asked for and got no answer to."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.builders import BuiltFile


@dataclass
class Ledger:
    """Each name has one release of one file; names are only ever asked about by one caller at a time.

    `published` was acknowledged, and `yanked` of it. `undecided` may be there or not. `deleted` was acknowledged to
    be gone. `claimed` are all names that were ever published: they are this server's for ever. `tokens` were printed.
    """

    published: dict[str, BuiltFile] = field(default_factory=dict)
    undecided: dict[str, BuiltFile] = field(default_factory=dict)
    deleted: dict[str, BuiltFile] = field(default_factory=dict)
    yanked: set[str] = field(default_factory=set)
    claimed: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)

    def begin(self, name: str, built: BuiltFile) -> None:
        """Ask for a change of this name."""
        self.published.pop(name, None)
        self.deleted.pop(name, None)
        self.undecided[name] = built

    def note_published(self, name: str) -> None:
        self.published[name] = self.undecided.pop(name)
        self.claimed.add(name)

    def note_deleted(self, name: str) -> None:
        self.deleted[name] = self.undecided.pop(name)

    def copy(self) -> Ledger:
        return deepcopy(self)
