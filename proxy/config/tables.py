"""Tables as frozen dataclasses whose fields say how their value is parsed and what it is by default.

    class Log:
        level: LogLevel = key(member(*LogLevel), "info")

A default is written as TOML would hold it and goes through the same parser.
"""

from __future__ import annotations

from dataclasses import Field, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from proxy.config.faults import Fault, Unfit, attempt, key_in, shown, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import DataclassInstance

    from proxy.config.shapes import Parser

T = TypeVar("T")
D = TypeVar("D", bound="DataclassInstance")

_PARSE: Final = "parse"
_REQUIRED: Final = "required"


def key(parse: Parser[T], written: object) -> T:
    """A key with a default, as TOML would hold it."""
    return computed(parse, lambda: parse(written))


def computed(parse: Parser[T], default: Callable[[], T]) -> T:
    """A key whose default depends on where the program runs."""
    return field(default_factory=default, metadata={_PARSE: parse})


def unset(parse: Parser[T]) -> T | None:
    """A key that may be left out, which means something of its own."""
    return field(default=None, metadata={_PARSE: parse})


def required(parse: Parser[T], stand_in: T, expected: str) -> T:
    """A key that must be given; `stand_in` takes its place while the rest of the config is looked at."""
    return field(default=stand_in, metadata={_PARSE: parse, _REQUIRED: expected})


def read_table(kind: type[D], value: object, place: str) -> tuple[D, list[Fault]]:
    """The table and all that is wrong in it; unfit keys hold their stand-ins, or stand at their defaults."""
    if not isinstance(value, dict):
        return kind(), [Fault(place, f"expected a table, got {shown(value)}")]
    known = {each.name: each for each in fields(kind)}
    given: dict[str, object] = {}
    faults: list[Fault] = []
    for name, item in value.items():
        if name not in known:
            faults.append(Fault(key_in(place, name), f"unknown key; {suggestion(name, known)}"))
            continue
        parsed = attempt(_parser(known[name]), item, key_in(place, name), faults)
        if parsed is not None:
            given[name] = parsed
    return replace(kind(), **given), faults + list(_missing(kind, value, place))


def nested(kind: type[D]) -> Parser[D]:
    """The parser of a table that is a value, such as an item of a list."""

    def parse(value: object) -> D:
        table, faults = read_table(kind, value, "")
        if faults:
            raise Unfit(*faults)
        return table

    return parse


def _parser(declared: Field[Any]) -> Parser[object]:
    parser: Parser[object] = declared.metadata[_PARSE]
    return parser


def _missing(kind: type[D], value: dict[str, object], place: str) -> Iterator[Fault]:
    for declared in fields(kind):
        if _REQUIRED in declared.metadata and declared.name not in value:
            yield Fault(key_in(place, declared.name), f"is missing; expected {declared.metadata[_REQUIRED]}")
