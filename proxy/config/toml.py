"""A described config as TOML, for people to read and to paste into a config file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.config.describe import Moment
from proxy.config.faults import entry_in, key_in, quoted

if TYPE_CHECKING:
    from proxy.config.describe import Document, Table, Value


def to_toml(document: Document) -> str:
    """The tables in the order of `config.example.toml`, an empty line after each."""
    sections = [
        ("[server]", document["server"]),
        ("[access]", document["access"]),
        ("[forwarding]", document["forwarding"]),
        *((f"[{key_in('upstreams', name)}]", table) for name, table in document["upstreams"].items()),
        ("[cache]", document["cache"]),
        *((f"[{entry_in('groups', path)}]", table) for path, table in document["groups"].items()),
        *((f"[{entry_in('projects', path)}]", table) for path, table in document["projects"].items()),
        *(("[[tokens]]", table) for table in document["tokens"]),
        ("[log]", document["log"]),
    ]
    return "\n".join(_section(header, table) for header, table in sections)


def _section(header: str, table: Table) -> str:
    lines = [f"{_key(key)} = {_inline(value)}" for key, value in table.items()]
    return "\n".join([header, *lines, ""])


def _inline(value: Value) -> str:
    match value:
        case int():
            return str(value).lower()  # `true` is an int here
        case Moment():
            return value
        case str():
            return quoted(value)
        case list():
            return f"[{', '.join(map(_inline, value))}]"
        case dict():
            return f"{{ {', '.join(f'{_key(key)} = {_inline(item)}' for key, item in value.items())} }}"


def _key(key: str) -> str:
    return key_in("", key).removeprefix(".")
