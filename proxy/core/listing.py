"""What an upstream's page says, in its words: the readers (parse_json, parse_html) make these, `parse` judges them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from proxy.core.model import Skipped

Size: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""Bytes, at most what a database column holds."""

Promise: TypeAlias = bool | dict[str, str] | None
"""Core metadata: algorithm to hex, or whether there is any, or None where the page does not speak of it."""


class Entry(Struct, frozen=True, rename="kebab", gc=False):
    """One file as an upstream lists it, by the keys of PEP 691, 700, 714 and 740; only the types are checked."""

    filename: str
    url: str
    hashes: dict[str, str]
    size: Size | None = None
    requires_python: str | None = None
    upload_time: datetime | None = None
    yanked: bool | str | None = None
    core_metadata: Promise = None
    dist_info_metadata: Promise = None
    data_dist_info_metadata: Promise = None
    provenance: str | None = None


class Listing(Struct, frozen=True):
    """One page. `name`, `versions` and `status` are None where it does not give them; `base` is what its links are
    relative to, empty for the page itself; `unread` are the entries that could not be understood at all, which may be
    known only when all `entries` have been taken.
    """

    entries: Iterable[Entry]
    api_version: str = "1.0"  # what a page speaks that does not tell (PEP 629)
    name: str | None = None
    versions: Sequence[str] | None = None
    status: str | None = None
    status_reason: str | None = None
    base: str = ""
    unread: Sequence[Skipped] = ()


def skip(filename: str, reason: str) -> Skipped:
    """A file left out. The name may be hostile: what is kept of it is printable and of bounded length."""
    readable = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in filename[:255])
    return Skipped(readable, reason)
