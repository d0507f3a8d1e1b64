"""Faults: what is wrong with the config, and at which key."""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

T = TypeVar("T")

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_SHOWN = 60


class Fault(NamedTuple):
    """What is wrong at `place`: a key's path, or, while a value is being read, the way from the value to its part."""

    place: str
    what: str

    def below(self, place: str) -> Self:
        return self._replace(place=place + self.place)

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


class Unfit(ValueError):
    """A value that cannot be used, with all that is wrong in it.

    `stand_in` takes its place while the rest of the config is looked at, so that one fault does not hide others; None
    leaves the key at its default.
    """

    stand_in: Any

    def __init__(self, *faults: Fault, stand_in: object = None) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults
        self.stand_in = stand_in

    @classmethod
    def because(cls, what: str, *, stand_in: object = None) -> Self:
        return cls(Fault("", what), stand_in=stand_in)

    @classmethod
    def unlike(cls, expected: str, value: object, *, stand_in: object = None) -> Self:
        return cls.because(f"expected {expected}, got {shown(value)}", stand_in=stand_in)


def attempt(parse: Callable[[object], T], value: object, place: str, faults: list[Fault]) -> T | None:
    """The parsed value; where it is unfit, its faults are added to `faults` and its stand-in is returned."""
    try:
        return parse(value)
    except Unfit as unfit:
        faults += [fault.below(place) for fault in unfit.faults]
        stand_in: T | None = unfit.stand_in
        return stand_in


def key_in(table: str, key: str) -> str:
    """The path of a key in a table, as TOML would write it."""
    return f"{table}.{key if _BARE_KEY.fullmatch(key) else quoted(key)}"


def entry_in(table: str, path: str) -> str:
    """The path of a group or project: always quoted, as `Group.setting` names it."""
    return f"{table}.{quoted(path)}"


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def one_of(words: Iterable[str]) -> str:
    """`"a", "b" or "c"`."""
    *others, last = map(quoted, words)
    return f"{', '.join(others)} or {last}" if others else last


def suggestion(word: str, known: Collection[str]) -> str:
    """The known word that was probably meant, else all of them."""
    if close := get_close_matches(word, known, n=1):
        return f"did you mean {quoted(close[0])}?"
    return f"expected {one_of(known)}" if known else "none is known"


def shown(value: object) -> str:
    """A value of a TOML document in a few words."""
    match value:
        case str():
            return quoted(value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…")
        case bool():
            return str(value).lower()
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return str(value)
