"""Sizes and durations as the config writes them: one whole number with one unit, `"50GiB"`, `"10m"`.

Both are the plain value (an `int` of bytes, a `timedelta`) that remembers its own spelling in `text`, so that reports
show what the operator wrote.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final, Self

SIZE_UNITS: Final = {
    "B": 1,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}
DURATION_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

MAX_SIZE: Final = 2**63 - 1  # what a signed 64-bit column and `off_t` hold
MAX_DURATION: Final = timedelta(days=36500)  # any date plus a few of these is still a date

_NUMBER_AND_UNIT = re.compile(r"([0-9]{1,19})([A-Za-z]+)")


class Size(int):
    """Bytes; raises ValueError unless `text` is a number with a unit of SIZE_UNITS.

    >>> Size("3GiB") == 3 * 2**30
    True
    """

    text: str

    def __new__(cls, text: str) -> Self:
        size = super().__new__(cls, _count(text, SIZE_UNITS))
        if size > MAX_SIZE:
            raise ValueError(f"a size is at most {MAX_SIZE} bytes: {text!r}")
        size.text = text
        return size

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.text,)


class Duration(timedelta):
    """A span of time; raises ValueError unless `text` is a number with a unit of DURATION_UNITS.

    >>> str(Duration("7d")), Duration("7d") == timedelta(days=7)
    ('7d', True)
    """

    text: str

    def __new__(cls, text: str) -> Self:
        seconds = _count(text, DURATION_UNITS)
        if seconds > MAX_DURATION.total_seconds():
            raise ValueError(f"a duration is at most {MAX_DURATION.days}d: {text!r}")
        duration = super().__new__(cls, seconds=seconds)
        duration.text = text
        return duration

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.text,)


def _count(text: str, units: dict[str, int]) -> int:
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None or match[2] not in units:
        raise ValueError(f"not a whole number with one of the units {', '.join(units)}: {text!r}")
    return int(match[1]) * units[match[2]]
