from __future__ import annotations

import copy
import pickle
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.units import DURATION_UNITS, MAX_DURATION, MAX_SIZE, SIZE_UNITS, Duration, Size

DAYS = MAX_DURATION.days


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("1B", 1),
        ("1kB", 1000),
        ("1KiB", 1024),
        ("7MB", 7_000_000),
        ("3GiB", 3 * 1024**3),
        ("1TiB", 1024**4),
        ("9223372036854775807B", MAX_SIZE),
    ],
)
def test_a_size_is_its_bytes(text: str, size: int) -> None:
    assert Size(text) == size


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0s", timedelta(0)),
        ("90s", timedelta(minutes=1, seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("8h", timedelta(hours=8)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
        ("36500d", MAX_DURATION),
    ],
)
def test_a_duration_is_a_span_of_time(text: str, duration: timedelta) -> None:
    assert Duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "GiB",
        "-1B",
        "+1B",
        "1 GiB",
        " 1B",
        "1B\n",
        "1.5GiB",
        "1gib",
        "1GIB",
        "1K",
        "\u0661B",
        "1e3B",
        "8388608TiB",
    ],
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|whole number"):
        Size(text)


@pytest.mark.parametrize(
    "text",
    ["", "5", "d", "-1s", "1 d", "1d\n", "1.5h", "1h30m", "1D", "1y", "1ms", "\u0663d", "36501d", "9" * 19 + "w"],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|whole number"):
        Duration(text)


@given(st.integers(0, 8_000_000), st.sampled_from(sorted(SIZE_UNITS)))
def test_a_size_says_what_was_written(number: int, unit: str) -> None:
    size = Size(f"{number}{unit}")
    assert size.text == f"{number}{unit}"
    assert size == number * SIZE_UNITS[unit]


@given(st.integers(0, 5000), st.sampled_from(sorted(DURATION_UNITS)))
def test_a_duration_says_what_was_written(number: int, unit: str) -> None:
    duration = Duration(f"{number}{unit}")
    assert duration.text == str(duration) == f"{number}{unit}"
    assert duration.total_seconds() == number * DURATION_UNITS[unit]


@pytest.mark.parametrize("unit", [Size, Duration])
@given(text=st.text())
def test_any_text_is_one_or_a_value_error(unit: type[Size | Duration], text: str) -> None:
    with suppress(ValueError):
        assert unit(text).text == text


def test_both_survive_copies() -> None:
    for value in (Size("50GiB"), Duration("7d")):
        for again in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):  # noqa: S301  (ours)
            assert again == value
            assert again.text == value.text


def test_the_longest_duration_leaves_room_in_the_calendar() -> None:
    assert datetime(2100, 1, 1, tzinfo=UTC) + 4 * Duration(f"{DAYS}d") < datetime.max.replace(tzinfo=UTC)
