"""A long page that is read in pieces says what it says when it is read at once."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import patch

import hypothesis.strategies as st
import pytest
from hypothesis import given

from proxy.core import json_pieces
from proxy.core.errors import UpstreamBroken
from proxy.core.json_pieces import CannotSplit
from proxy.core.parse_json import read_json, read_json_in_pieces

if TYPE_CHECKING:
    from proxy.core.listing import Entry, Listing
    from proxy.core.model import Skipped

hostile = st.sampled_from(
    ["},{", "} , {", "}]", "[{", '"files":[', '"files": [{', ',"files":[0]', '\\"', "\\", "]}", "a", "\N{SNOWMAN}", ""]
)
texts = st.lists(hostile, max_size=3).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts | st.just("files"), children, max_size=3),
    max_leaves=8,
)
entries = st.fixed_dictionaries(
    {"filename": texts, "url": texts, "hashes": st.fixed_dictionaries({"sha256": texts})},
    optional={"size": values, "yanked": values, "core-metadata": values, "odd": values},
)
pages = st.dictionaries(texts, values, max_size=2).flatmap(
    lambda before: st.fixed_dictionaries(
        {"name": texts, "files": st.lists(entries | values, max_size=5)},
        optional={"meta": values, "versions": st.lists(texts, max_size=3) | values, "project-status": values},
    ).map(lambda page: before | page)
)
separators = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")])


class Said(NamedTuple):
    """All of a listing."""

    entries: list[Entry]
    unread: list[Skipped]
    rest: tuple[object, ...]


def said(listing: Listing) -> Said:
    taken = list(listing.entries)
    rest = (listing.api_version, listing.name, listing.versions, listing.status, listing.status_reason)
    return Said(taken, list(listing.unread), rest)


def at_once(body: bytes) -> Said | None:
    try:
        return said(read_json(body))
    except UpstreamBroken:
        return None


def in_pieces(body: bytes) -> Said | None:
    """Pieces of single entries."""
    with patch.object(json_pieces, "_PIECE", 1), suppress(CannotSplit):
        return said(read_json_in_pieces(body))
    return None


@given(pages, separators)
def test_pieces_say_what_the_whole_says(page: dict[str, object], separators: tuple[str, str]) -> None:
    body = json.dumps(page, separators=separators).encode()
    assert in_pieces(body) in (None, at_once(body))


@given(pages, st.data())
def test_nothing_is_read_out_of_a_broken_page(page: dict[str, object], data: st.DataObject) -> None:
    body = json.dumps(page).encode()
    place = data.draw(st.integers(0, len(body)))
    broken = body[:place] + data.draw(st.sampled_from([b"", b'"', b"}", b"]", b"\xff", b","])) + body[place + 1 :]
    assert in_pieces(broken) in (None, at_once(broken))


@given(st.lists(entries, min_size=1), separators)
def test_a_page_as_most_are_is_read_in_pieces(files: list[object], separators: tuple[str, str]) -> None:
    page = {"meta": {"api-version": "1.4"}, "name": "demo", "files": files, "versions": ["1.0"]}
    assert in_pieces(json.dumps(page, separators=separators).encode()) is not None or "}]" in str(files)


@pytest.mark.parametrize("odd", ["}" + " " * 200_000, "x" * 200_000])
def test_no_cut_is_looked_for_without_end(odd: str) -> None:
    body = json.dumps({"name": "demo", "files": [{"filename": odd}, {"filename": odd}, {}]}).encode()
    with pytest.raises(CannotSplit):
        list(read_json_in_pieces(body).entries)
