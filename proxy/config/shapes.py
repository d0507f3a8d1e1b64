"""Shapes of values: parsers, and what makes parsers of parsers.

A parser takes a value of a TOML document and returns the parsed one, or raises Unfit with every fault in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from proxy.config.faults import Fault, Unfit, attempt, entry_in, one_of
from proxy.core.errors import InvalidInput

if TYPE_CHECKING:
    from enum import StrEnum

T = TypeVar("T")
K = TypeVar("K", bound=str)
E = TypeVar("E", bound="StrEnum")
Parser: TypeAlias = Callable[[object], T]


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Unfit.unlike("true or false", value)
    return value


def whole(low: int, high: int) -> Parser[int]:
    """A whole number, both ends included."""

    def parse(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise Unfit.unlike(f"a whole number from {low} to {high}", value)

    return parse


def spelled(expected: str, convert: Callable[[str], T], *, stand_in: T | None = None) -> Parser[T]:
    """A string that `convert` takes: it raises ValueError or InvalidInput, or Unfit to say more."""

    def parse(value: object) -> T:
        if not isinstance(value, str):
            raise Unfit.unlike(expected, value)
        try:
            return convert(value)
        except Unfit:
            raise
        except (ValueError, InvalidInput) as error:
            raise Unfit.unlike(expected, value, stand_in=stand_in) from error

    return parse


def secretive(expected: str, convert: Callable[[str], T], *, stand_in: T) -> Parser[T]:
    """As `spelled`, for what may be a secret by mistake: no message shows what was given."""

    def parse(value: object) -> T:
        try:
            return spelled(expected, convert)(value)
        except Unfit:
            raise Unfit.because(f"expected {expected} (what was given may be a secret)", stand_in=stand_in) from None

    return parse


def word(meanings: Mapping[str, T], *, stand_in: T | None = None) -> Parser[T]:
    """One of these words."""

    def convert(text: str) -> T:
        if text not in meanings:
            raise ValueError(text)
        return meanings[text]

    return spelled(one_of(meanings), convert, stand_in=stand_in)


def member(*members: E) -> Parser[E]:
    return word({each.value: each for each in members})


def list_of(parse_item: Parser[T]) -> Parser[tuple[T, ...]]:
    def parse(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise Unfit.unlike("a list", value)
        faults: list[Fault] = []
        parsed = [attempt(parse_item, item, f"[{position}]", faults) for position, item in enumerate(value)]
        items = tuple(item for item in parsed if item is not None)
        if faults:
            raise Unfit(*faults, stand_in=items)
        return items

    return parse


def map_of(parse_key: Parser[K], parse_value: Parser[T]) -> Parser[Mapping[K, T]]:
    """A table with keys of one kind and values of one kind."""

    def parse(value: object) -> Mapping[K, T]:
        if not isinstance(value, dict):
            raise Unfit.unlike("a table", value)
        faults: list[Fault] = []
        items: dict[K, T] = {}
        for written, item in value.items():
            place = entry_in("", written)
            key, parsed = attempt(parse_key, written, place, faults), attempt(parse_value, item, place, faults)
            if key is not None and parsed is not None:
                items[key] = parsed
        if faults:
            raise Unfit(*faults, stand_in=items)
        return items

    return parse
