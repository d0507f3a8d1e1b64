"""A TOML document as tables, with every fault that shows in a table alone (`check` finds those between tables)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, TypeVar

from proxy.config import parse
from proxy.config.faults import Fault, attempt, entry_in, key_in, shown, suggestion
from proxy.config.schema import (
    BUILT_IN_GROUPS,
    BUILT_IN_PROJECTS,
    BUILT_IN_PYPI,
    Access,
    Cache,
    Forwarding,
    GroupTable,
    Log,
    ProjectTable,
    Server,
    TokenTable,
    UpstreamTable,
)
from proxy.config.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed import DataclassInstance

    from proxy.config.shapes import Parser
    from proxy.core.names import GroupPath

D = TypeVar("D", bound="DataclassInstance")
K = TypeVar("K", bound=str)

_LATER: Final = {"publishers": "trusted publishing is not available yet; expected no such table"}


@dataclass(frozen=True, slots=True)
class Tables:
    """The whole config as written, the built-in entries taken in. The fields are the names of the tables.

    Tokens have no key of their own: their places in the file (`tokens[0]`) stand for one.
    """

    server: Server
    access: Access
    forwarding: Forwarding
    upstreams: Mapping[str, UpstreamTable]
    cache: Cache
    groups: Mapping[GroupPath, GroupTable]
    projects: Mapping[GroupPath, ProjectTable]
    tokens: Mapping[str, TokenTable]
    log: Log


def read_tables(document: Mapping[str, object]) -> tuple[Tables, list[Fault]]:
    """The tables and their faults, in the order of the document."""
    reader = _Reader(_with_built_ins(document))
    tables = Tables(
        server=reader.table("server", Server),
        access=reader.table("access", Access),
        forwarding=reader.table("forwarding", Forwarding),
        upstreams=reader.entries("upstreams", parse.upstream_name, UpstreamTable, key_in),
        cache=reader.table("cache", Cache),
        groups=reader.entries("groups", parse.group_path, GroupTable, entry_in),
        projects=reader.entries("projects", parse.project_path, ProjectTable, entry_in),
        tokens=reader.items("tokens", TokenTable),
        log=reader.table("log", Log),
    )
    reader.refuse_others({each.name for each in fields(Tables)})
    return tables, [fault for name in document for fault in reader.faults.get(name, ())]


class _Reader:
    """Reads tables by name and keeps the faults of each."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self._document = document
        self.faults: dict[str, list[Fault]] = {name: [] for name in document}

    def table(self, name: str, kind: type[D]) -> D:
        return self._read(name, self._document[name], name, kind) if name in self._document else kind()

    def entries(
        self, name: str, parse_key: Parser[K], kind: type[D], place_of: Callable[[str, str], str]
    ) -> dict[K, D]:
        """A table of tables. An entry that is no table stands as a blank one: what names it is not at fault."""
        value = self._document.get(name, {})
        if not isinstance(value, dict):
            self.faults[name].append(Fault(name, f"expected a table of tables, got {shown(value)}"))
            return {}
        entries: dict[K, D] = {}
        for key, item in value.items():
            place = place_of(name, key)
            parsed = attempt(parse_key, key, place, self.faults[name])
            entry = self._read(name, item, place, kind)
            if parsed is not None:
                entries[parsed] = entry
        return entries

    def items(self, name: str, kind: type[D]) -> dict[str, D]:
        """An array of tables, by their places."""
        value = self._document.get(name, [])
        if not isinstance(value, list):
            self.faults[name].append(Fault(name, f"expected an array of tables ([[{name}]]), got {shown(value)}"))
            return {}
        places = {f"{name}[{position}]": item for position, item in enumerate(value)}
        read = {place: self._read(name, item, place, kind) for place, item in places.items()}
        return {place: table for place, table in read.items() if isinstance(places[place], dict)}

    def refuse_others(self, known: set[str]) -> None:
        for name in self._document.keys() - known:
            what = _LATER.get(name) or f"unknown table; {suggestion(name, sorted(known))}"
            self.faults[name].append(Fault(key_in("", name).removeprefix("."), what))

    def _read(self, name: str, value: object, place: str, kind: type[D]) -> D:
        table, faults = read_table(kind, value, place)
        self.faults[name] += faults
        return table


def _with_built_ins(document: Mapping[str, object]) -> dict[str, object]:
    """`pypi` is always there, and may be changed key by key; the default group and project stand in for none."""
    built = dict(document)
    upstreams = document.get("upstreams", {})
    if isinstance(upstreams, dict):
        built["upstreams"] = {**upstreams, "pypi": _completed(upstreams.get("pypi", {}), BUILT_IN_PYPI)}
    if document.get("groups", {}) == {}:
        built["groups"] = BUILT_IN_GROUPS
        if document.get("projects", {}) == {}:
            built["projects"] = BUILT_IN_PROJECTS
    return built


def _completed(value: object, built_in: Mapping[str, object]) -> object:
    """What is no table is left for its reader to refuse."""
    return {**built_in, **value} if isinstance(value, dict) else value
