"""Reading a project's page in JSON v1 (PEP 691): at once, or in pieces where it is long.

What is odd is read entry by entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Raw, Struct

from proxy.core.errors import UpstreamBroken
from proxy.core.json_pieces import CannotSplit, pieces, split
from proxy.core.listing import Entry, Listing, skip
from proxy.core.model import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterator

_MANDATORY: dict[str, object] = {"filename": "", "url": "", "hashes": {}}


class _Meta(Struct, frozen=True, rename="kebab"):
    api_version: str = "1.0"


class _Status(Struct, frozen=True):
    status: str | None = None
    reason: str | None = None


class _Page(Struct, rename="kebab"):
    """A page that keeps to the standard. Keys that are not named here never matter."""

    name: str
    files: list[Entry]
    meta: _Meta = _Meta()
    versions: list[str] | None = None
    project_status: _Status | None = None


class _Frame(Struct, rename="kebab"):
    """A page that keeps to the standard, without its files."""

    name: str
    files: tuple[Literal[0]]
    meta: _Meta = _Meta()
    versions: list[str] | None = None
    project_status: _Status | None = None


class _OddPage(Struct, rename="kebab"):
    """The least that is a page; the rest is looked at piece by piece."""

    name: str
    files: list[Raw]
    meta: _Meta = _Meta()
    versions: object = None
    project_status: object = None


_page = msgspec.json.Decoder(_Page)
_frame = msgspec.json.Decoder(_Frame)
_entries = msgspec.json.Decoder(list[Entry])
_odd_entries = msgspec.json.Decoder(list[Raw])
_odd_page = msgspec.json.Decoder(_OddPage)
_entry = msgspec.json.Decoder(Entry)


def read_json_in_pieces(body: bytes | bytearray) -> Listing:
    """As `read_json`; raises CannotSplit, also while the entries are taken, where the page must be read whole.

    `unread` grows while the entries are taken.
    """
    frame, start, end = split(body, b"files")
    try:
        page = _frame.decode(frame)
    except (ValueError, RecursionError) as error:
        raise CannotSplit from error
    unread: list[Skipped] = []
    status = page.project_status or _Status()
    return Listing(
        _entries_in(pieces(body, start, end), unread),
        page.meta.api_version,
        page.name,
        page.versions,
        status.status,
        status.reason,
        unread=unread,
    )


def _entries_in(arrays: Iterator[bytes], unread: list[Skipped]) -> Iterator[Entry]:
    for array in arrays:
        try:
            yield from _read_entries(array, unread)
        except (ValueError, RecursionError) as error:
            raise CannotSplit from error


def _read_entries(array: bytes, unread: list[Skipped]) -> list[Entry]:
    try:
        return _entries.decode(array)
    except msgspec.ValidationError:
        read = [_read_entry(raw) for raw in _odd_entries.decode(array)]
    unread += (skipped for skipped in read if isinstance(skipped, Skipped))
    return [entry for entry in read if isinstance(entry, Entry)]


def read_json(body: bytes | bytearray) -> Listing:
    """The page in `body`; raises UpstreamBroken where it is no JSON, or JSON of another shape.

    An optional field of the wrong type is dropped; an entry without a sound filename, url or hashes goes to `unread`.
    """
    try:
        return _read_page(body)
    except msgspec.ValidationError as error:
        raise UpstreamBroken(f"the JSON is not the page of a project: {error}") from error
    except (ValueError, RecursionError) as error:
        raise UpstreamBroken(f"the JSON cannot be decoded: {error}") from error


def _read_page(body: bytes | bytearray) -> Listing:
    try:
        page = _page.decode(body)
    except msgspec.ValidationError:
        return _read_odd_page(body)
    status = page.project_status or _Status()
    return Listing(page.files, page.meta.api_version, page.name, page.versions, status.status, status.reason)


def _read_odd_page(body: bytes | bytearray) -> Listing:
    page = _odd_page.decode(body)
    read = [_read_entry(raw) for raw in page.files]
    versions = page.versions if isinstance(page.versions, list) else None
    status = page.project_status if isinstance(page.project_status, dict) else {}
    return Listing(
        [entry for entry in read if isinstance(entry, Entry)],
        page.meta.api_version,
        page.name,
        None if versions is None else [version for version in versions if isinstance(version, str)],
        _text(status.get("status")),
        _text(status.get("reason")),
        unread=[skipped for skipped in read if isinstance(skipped, Skipped)],
    )


def _read_entry(raw: Raw) -> Entry | Skipped:
    try:
        return _entry.decode(raw)
    except msgspec.ValidationError:
        fields = msgspec.json.decode(raw)
    if not isinstance(fields, dict):
        return skip("", "its entry is not an object")
    try:
        return msgspec.convert(_sound(fields), Entry)
    except msgspec.ValidationError as error:
        return skip(_text(fields.get("filename")) or "", f"its entry cannot be read: {error}")


def _sound(fields: dict[str, object]) -> dict[str, object]:
    """`fields` without the optional ones of a wrong type. A truthy `yanked` of a wrong type means yanked."""
    sound = {key: value for key, value in fields.items() if key in _MANDATORY or _is_sound(key, value)}
    if fields.get("yanked") and "yanked" not in sound:
        sound["yanked"] = True
    return sound


def _is_sound(key: str, value: object) -> bool:
    try:
        msgspec.convert(_MANDATORY | {key: value}, Entry)
    except msgspec.ValidationError:
        return False
    return True


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
