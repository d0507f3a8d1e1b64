"""Single byte ranges as RFC 9110 section 14 has them, over a file of ten bytes."""

from __future__ import annotations

import pytest

from proxy.core.errors import InvalidInput
from proxy.core.ranges import ByteRange, Unsatisfiable, parse_range

SIZE = 10


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-9", 0, 9),
        ("bytes=2-5", 2, 5),
        ("bytes=9-9", 9, 9),
        ("bytes=4-", 4, 9),
        ("bytes=0-", 0, 9),
        ("bytes=-1", 9, 9),
        ("bytes=-10", 0, 9),
        ("BYTES=2-5", 2, 5),
        ("bytes= 2 - 5 ", 2, 5),
        ("bytes=\t2-5", 2, 5),
        ("bytes=002-05", 2, 5),
    ],
)
def test_a_range_within_the_file_is_what_it_says(header: str, first: int, last: int) -> None:
    assert parse_range(header, SIZE) == ByteRange(first, last)


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [("bytes=5-10", 5, 9), ("bytes=5-999999999999999999", 5, 9), ("bytes=-11", 0, 9), ("bytes=-999999999999", 0, 9)],
)
def test_what_reaches_beyond_the_end_is_cut_at_it(header: str, first: int, last: int) -> None:
    assert parse_range(header, SIZE) == ByteRange(first, last)


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=999999999999999999-", "bytes=-0"])
def test_a_range_that_holds_no_byte_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(Unsatisfiable) as caught:
        parse_range(header, SIZE)
    assert caught.value.size == SIZE
    assert isinstance(caught.value, InvalidInput)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"])
def test_an_empty_file_satisfies_none(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, 0)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-2",
        "bytes=12-11",
        "bytes=0-1,3-4",
        "bytes=0-1,",
        "bytes=a-b",
        "bytes=0x1-5",
        "bytes=+1-5",
        "bytes=1.0-5",
        "bytes=--1",
        "bytes=1-5-7",
        "bytes 1-5",
        "lines=1-5",
        "bytes=1-5\n",
        "bytes=\u0663-\u0665",
        f"bytes={'9' * 19}-",
        f"bytes={'9' * 5000}-",
    ],
)
def test_anything_else_asks_for_the_whole(header: str | None) -> None:
    assert parse_range(header, SIZE) is None


def test_both_ends_are_included() -> None:
    assert ByteRange(0, 0).length == 1
    assert ByteRange(2, 5).length == 4


def test_content_range_names_the_whole_size() -> None:
    assert ByteRange(2, 5).content_range(SIZE) == "bytes 2-5/10"
