"""Judging one file of an upstream's page. Pages list tens of thousands, so each check tries the common case first."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

from proxy.core.digests import parse_sha256
from proxy.core.errors import InvalidInput
from proxy.core.links import BadLink
from proxy.core.model import File
from proxy.core.names import parse_filename

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from proxy.core.links import Links
    from proxy.core.listing import Entry

_PLAIN_FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!-]{0,240}\.(?:whl|tar\.gz|zip)")
_ALGORITHM = re.compile(r"[a-z0-9_-]{1,20}")
_HEX = re.compile(r"[0-9a-f]{32,128}")


def parse_file(entry: Entry, links: Links) -> File:
    """The file that `entry` lists; raises InvalidInput where it cannot be offered.

    It needs a name that is one safe path component, a sha256, and a link that may be followed. A provenance whose link
    may not be followed and core metadata whose hash is no hash are dropped, as is a time that is none in UTC.
    """
    if not _PLAIN_FILENAME.fullmatch(entry.filename):
        parse_filename(entry.filename)
    return File(
        entry.filename,
        links.resolve(entry.url),
        _hashes(entry.hashes),
        entry.size,
        entry.requires_python or None,
        _utc(entry.upload_time),
        _yanked(entry.yanked),
        _core_metadata(entry),
        _provenance(entry.provenance, links),
    )


def _hashes(given: dict[str, str]) -> Mapping[str, str]:
    """All that are hashes, in lower case; raises InvalidInput where no sha256 is among them."""
    if len(given) == 1 and _is_sha256(given.get("sha256", "")):
        return given
    hashes = _lowered(given)
    if "sha256" not in hashes:
        raise InvalidInput("it has no sha256, so its bytes could not be verified")
    parse_sha256(hashes["sha256"])
    return {algorithm: digest for algorithm, digest in hashes.items() if _is_hash(algorithm, digest)}


def _core_metadata(entry: Entry) -> bool | Mapping[str, str]:
    """PEP 714: the new name of the key counts before the old ones (PyPI writes the last, PEP 691's text the other)."""
    promise = entry.core_metadata
    if promise is None:
        promise = entry.dist_info_metadata
    if promise is None:
        promise = entry.data_dist_info_metadata
    if not isinstance(promise, dict):
        return promise or False
    if len(promise) == 1 and _is_sha256(promise.get("sha256", "")):
        return promise
    hashes = _lowered(promise)
    return hashes if hashes and all(_is_hash(*item) for item in hashes.items()) else False


def _lowered(hashes: dict[str, str]) -> dict[str, str]:
    return {algorithm.lower(): digest.lower() for algorithm, digest in hashes.items()}


def _is_hash(algorithm: str, digest: str) -> bool:
    if algorithm == "sha256":
        return _is_sha256(digest)
    return bool(_ALGORITHM.fullmatch(algorithm) and _HEX.fullmatch(digest))


def _is_sha256(text: str) -> bool:
    """Whether it is one in lower case. (A regular expression takes three times as long.)"""
    try:
        return len(text) == 64 and bytes.fromhex(text).hex() == text
    except ValueError:
        return False


def _utc(moment: datetime | None) -> datetime | None:
    """PEP 700 knows UTC only: without an offset it is meant, and another offset is converted."""
    if moment is None or moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # a first or last day of the calendar
        return None


def _yanked(given: bool | str | None) -> bool | str:  # noqa: FBT001 - PEP 592's own type
    """An empty reason is no reason, but the file is yanked all the same."""
    return True if given == "" else given or False


def _provenance(link: str | None, links: Links) -> str | None:
    if not link:
        return None
    try:
        return links.resolve(link)
    except BadLink:
        return None
