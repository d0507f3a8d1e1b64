"""Taking files out of the store: blobs that nobody names, blobs that rotted, leftover parts. All block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.disk.files import make_directory, sync_directory
from proxy.disk.holds import Held, alone_with, is_held, removing_from
from proxy.disk.stored import is_intact
from proxy.ports import PREFIXES

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.core.digests import Sha256
    from proxy.disk.layout import Layout


def delete(path: Path, older_than: float | None) -> bool:
    # Not synced: a blob that a power cut brings back is one that no row names.
    try:
        with removing_from(path.parent):
            if older_than is not None and path.stat().st_mtime >= older_than:
                return False
            path.unlink()
    except (Held, FileNotFoundError):
        return False
    return True


def quarantine(layout: Layout, sha256: Sha256) -> bool:
    """The bytes are read again where no commit can replace them: what was healed meanwhile must not go."""
    path = layout.blob(sha256)
    try:
        with removing_from(path.parent):
            if is_intact(path, sha256) is not False:
                return False
            make_directory(layout.quarantine)
            path.replace(layout.quarantine / sha256)
            sync_directory(layout.quarantine)
            sync_directory(path.parent)
    except Held:
        return False
    return True


def list_held(layout: Layout) -> frozenset[str]:
    return frozenset(prefix for prefix in PREFIXES if is_held(layout.blobs / prefix))


def sweep(parts: Path, older_than: float) -> int:
    """Bytes freed. Parts that their writers have open, here or in another process, are theirs."""
    return sum(_sweep_part(part, older_than) for part in parts.iterdir())


def _sweep_part(part: Path, older_than: float) -> int:
    try:
        with alone_with(part):
            facts = part.lstat()
            if facts.st_mtime >= older_than:
                return 0
            part.unlink()
    except (Held, FileNotFoundError):
        return 0
    return facts.st_size
