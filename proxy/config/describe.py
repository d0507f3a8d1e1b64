"""The effective config as a document again: inheritance taken in, sizes and durations as written, secrets masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, TypedDict

from proxy.config.units import Duration, Size
from proxy.core.registry import Protection
from proxy.core.rules import Exemption, NamePattern, NameRule

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from proxy.config.load import Config
    from proxy.config.schema import GroupTable, ProjectTable, TokenTable, UpstreamTable
    from proxy.core.registry import Group, Project

Value: TypeAlias = "str | int | list[Value] | dict[str, Value]"
Table: TypeAlias = dict[str, Value]

MASK: Final = "********"


class Moment(str):
    """A date-time: text in JSON, which has none, and bare in TOML."""

    __slots__ = ()


class Document(TypedDict):
    """The shape of the config file. Keys that stand unset are left out of the tables."""

    server: Table
    access: Table
    forwarding: Table
    upstreams: dict[str, Table]
    cache: Table
    groups: dict[str, Table]
    projects: dict[str, Table]
    tokens: list[Table]
    log: Table


def describe(config: Config) -> Document:
    tables, registry = config.tables, config.registry
    return {
        "server": _table(config.server),
        "access": _table(config.access),
        "forwarding": _table(config.forwarding),
        "upstreams": {name: _table(_effective_upstream(config, name)) for name in tables.upstreams},
        "cache": _table(config.cache),
        "groups": {group.path: _effective(tables.groups[group.path], group) for group in registry.groups},
        "projects": {each.path: _effective(tables.projects[each.path], each) for each in registry.projects},
        "tokens": [_token(table) for table in tables.tokens.values()],
        "log": _table(config.log),
    }


def _effective(table: GroupTable | ProjectTable, resolved: Group | Project) -> Table:
    """The keys in the order of the table with the effective values (`locked` is in the table alone)."""
    names = [each.name for each in fields(table)]
    return {name: _plain(getattr(resolved, name, getattr(table, name))) for name in names}


def _effective_upstream(config: Config, name: str) -> UpstreamTable:
    resolved = config.registry.upstreams[name]
    ca_file = Path(resolved.ca_file) if resolved.ca_file else None
    return replace(config.tables.upstreams[name], file_hosts=resolved.file_hosts, ca_file=ca_file)


def _token(table: TokenTable) -> Table:
    return {key: MASK if key == "sha256" else value for key, value in _table(table).items()}


def _table(table: DataclassInstance) -> Table:
    values = ((each.name, getattr(table, each.name)) for each in fields(table))
    return {name: _plain(value) for name, value in values if value is not None}


def _plain(value: object) -> Value:
    match value:
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case tuple():
            return [_plain(item) for item in value]
        case Exemption():
            return _exemption(value)
        case Protection():
            return _table(value)
        case _:
            return _word(value)


def _exemption(exemption: Exemption) -> Value:
    if not exemption.reason and exemption.until is None:
        return exemption.rule.text
    table: Table = {"match": exemption.rule.text, "reason": exemption.reason}
    return table if exemption.until is None else table | {"until": _word(exemption.until)}


def _word(value: object) -> str | int:
    match value:
        case Size() | Duration() | NamePattern() | NameRule():
            return value.text
        case StrEnum():
            return value.value
        case IntEnum():
            return value.name.lower()
        case datetime():
            return Moment(value.isoformat())
        case str() | int():
            return value
        case _:
            return str(value)
