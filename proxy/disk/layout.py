"""Where things lie under the data directory."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple

from proxy.core.errors import StorageTrouble
from proxy.disk.files import DIRECTORY_MODE, make_directory, sync_directory
from proxy.ports import PREFIXES

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.core.digests import Sha256


class Layout(NamedTuple):
    root: Path

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def parts(self) -> Path:
        return self.root / "parts"

    @property
    def quarantine(self) -> Path:
        """Blobs whose bytes turned out to be wrong, by digest; made with the first of them."""
        return self.root / "quarantine"

    def blob(self, sha256: Sha256) -> Path:
        return self.blobs / sha256[:2] / sha256[2:]

    def new_part(self) -> Path:
        return self.parts / secrets.token_hex(16)

    def shown_part(self, sha256: Sha256, length: int | None) -> Path:
        """A new part that is found by the digest that it is to have, and tells its length."""
        return self.parts / f"{sha256}.{'' if length is None else length}.{secrets.token_hex(8)}"

    def create(self) -> None:
        """Make the directories, durably; raises OSError, and StorageTrouble where a rename could not commit.

        All 256 directories of blobs are made here. A commit then makes none, and never stands on one that another
        commit (perhaps of another process) made a moment ago and has not synced yet.
        """
        make_directory(self.blobs)
        make_directory(self.parts)
        if self.blobs.stat().st_dev != self.parts.stat().st_dev:
            raise StorageTrouble("blobs and parts must lie on one file system: mount it at the data directory itself")
        for prefix in PREFIXES:
            (self.blobs / prefix).mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        # Also when they were there: who made them may have been killed before this.
        sync_directory(self.blobs)
        sync_directory(self.root)
