"""What differs between two configs, for the log of a reload."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.config.describe import Document

RESTART_ONLY = frozenset({"server.host", "server.port", "server.data_dir", "server.workers"})
"""Keys that are read once, when the server starts."""


def list_changes(old: Document, new: Document) -> list[str]:
    """A line for each key that differs, in the order of the keys; secrets are masked as they are in `describe`."""
    before, after = dict(_flat(old)), dict(_flat(new))
    return [
        _line(key, before.get(key, "unset"), after.get(key, "unset"))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _line(key: str, before: str, after: str) -> str:
    note = " (takes effect when the server is started again)" if key in RESTART_ONLY else ""
    return f"{key}: {before} -> {after}{note}"


def _flat(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value, default=str)
