"""Laws of byte ranges, and of reading a wheel of which only ranges are here."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import InvalidUpload
from proxy.core.names import Filename
from proxy.core.ranges import ByteRange, Unsatisfiable, parse_range
from proxy.core.wheel_metadata import TAIL, Missing, Windows, read_wheel_metadata
from tests.builders import build_wheel

sizes = st.one_of(st.integers(0, 20), st.integers(0, 2**62))
bounds = st.one_of(st.integers(0, 25), st.integers(0, 10**18 - 1))
headers = st.one_of(
    st.builds("bytes={}-{}".format, bounds, bounds),
    st.builds("bytes={}-".format, bounds),
    st.builds("bytes=-{}".format, bounds),
    st.from_regex(r"bytes=[ \t]*\d{0,20}[ \t]*-[ \t]*\d{0,20}(,\d+-)?"),
    st.text(max_size=20),
)
WHEEL = build_wheel("demo", "1.0", size_padding=300_000, modules={f"demo/m{i}.py": "x = 1\n" for i in range(300)})
SMALL = build_wheel("demo", "1.0")
NAME = Filename(WHEEL.filename)


@given(headers, sizes)
def test_a_range_lies_within_the_file(header: str, size: int) -> None:
    with suppress(Unsatisfiable):
        wanted = parse_range(header, size)
        if wanted is not None:
            assert 0 <= wanted.first <= wanted.last < size
            assert 1 <= wanted.length <= size


@given(st.integers(1, 2**62), st.data())
def test_what_is_asked_for_plainly_is_what_comes(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, min(size, 10**18) - 1))
    last = data.draw(st.integers(first, min(size, 10**18) - 1))
    assert parse_range(f"bytes={first}-{last}", size) == ByteRange(first, last)
    assert parse_range(f"bytes={first}-", size) == ByteRange(first, size - 1)
    length = data.draw(st.integers(1, min(size, 10**18 - 1)))
    assert parse_range(f"bytes=-{length}", size) == ByteRange(size - length, size - 1)


@st.composite
def holed_files(draw: st.DrawFn) -> tuple[bytes, Windows, set[int]]:
    """Some bytes, a file of them with holes, and the offsets that are no hole."""
    data = draw(st.binary(max_size=200))
    windows, held = Windows(len(data)), set[int]()
    for _ in range(draw(st.integers(0, 4))):
        first = draw(st.integers(0, len(data)))
        piece = data[first : draw(st.integers(first, len(data)))]
        windows.add(first, piece)
        held |= set(range(first, first + len(piece)))
    return data, windows, held


@given(holed_files(), st.integers(0, 220), st.integers(1, 220))
def test_a_window_gives_the_files_bytes_or_says_what_it_misses(
    holed: tuple[bytes, Windows, set[int]], offset: int, length: int
) -> None:
    data, windows, held = holed
    windows.seek(offset)
    if offset in held or offset >= len(data):
        read = windows.read(length) or b""
        assert read == data[offset : offset + len(read)]
        assert windows.tell() == offset + len(read)
        assert bool(read) == (offset < len(data))
        return
    with pytest.raises(Missing) as caught:
        windows.read(length)
    assert offset == caught.value.wanted.first <= caught.value.wanted.last < len(data)


@given(holed_files())
def test_whoever_brings_what_is_missing_reads_the_whole(holed: tuple[bytes, Windows, set[int]]) -> None:
    data, windows, _ = holed
    for _ in range(len(data) + 1):
        try:
            windows.seek(0)
            assert windows.read() == data
        except Missing as missing:
            bring(windows, missing, data)
        else:
            return
    raise AssertionError("it never ends")


@given(st.integers(1, TAIL), st.lists(st.integers(0, len(WHEEL.data) - 1), max_size=3))
def test_the_metadata_does_not_depend_on_what_was_brought_first(tail: int, others: list[int]) -> None:
    windows = Windows(len(WHEEL.data))
    windows.add(len(WHEEL.data) - tail, WHEEL.data[-tail:])
    for first in others:
        windows.add(first, WHEEL.data[first : first + 1000])
    for _ in range(30):
        try:
            assert read_wheel_metadata(windows, NAME) == WHEEL.metadata
        except Missing as missing:
            bring(windows, missing, WHEEL.data)
        else:
            return
    raise AssertionError("it never ends")


damages = st.lists(st.tuples(st.integers(0, len(SMALL.data) - 1), st.integers(0, 255)), min_size=1, max_size=6)


@settings(max_examples=300)
@given(damages, st.integers(0, len(SMALL.data)))
def test_damage_is_refused_in_one_way(damaged: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(SMALL.data)
    for position, byte in damaged:
        data[position] = byte
    for whole in (bytes(data), bytes(data[:cut]), bytes(data[cut:])):
        windows = Windows(len(whole))
        windows.add(0, whole)
        with suppress(InvalidUpload):
            assert read_wheel_metadata(windows, NAME) == SMALL.metadata


def bring(windows: Windows, missing: Missing, data: bytes) -> None:
    windows.add(missing.wanted.first, data[missing.wanted.first : missing.wanted.last + 1])
