"""What a group has from its ancestors, and which key of the config says so.

Unset keys are the nearest ancestor's that sets them, then the instance's; `reserved` and `deny` add up; `merge` and
`file_urls` are each group's own. `forwarding` goes down from the instance until something locks it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from proxy.config.faults import entry_in
from proxy.config.schema import TOP_VISIBILITY
from proxy.core.names import parent_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.config.schema import Forwarding, GroupTable
    from proxy.core.names import GroupPath
    from proxy.core.registry import Visibility

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Ancestor(NamedTuple):
    path: GroupPath
    table: GroupTable

    def setting(self, key: str) -> str:
        return f"{entry_in('groups', self.path)}.{key}"


Lineage = tuple[Ancestor, ...]


@dataclass(frozen=True, slots=True)
class Found(Generic[T_co]):
    """A value and the config key that decided it; empty where no key did (it is the built-in default)."""

    value: T_co
    setting: str = ""


def lineage(path: GroupPath, groups: Mapping[GroupPath, GroupTable]) -> Lineage:
    """The group and its ancestors, nearest first; ancestors that the config lacks are passed over."""
    above = parent_path(path)
    own = (Ancestor(path, groups[path]),) if path in groups else ()
    return own if above is None else own + lineage(above, groups)


def nearest(line: Lineage, key: str, written: Callable[[GroupTable], T | None], default: T) -> Found[T]:
    for ancestor in line:
        value = written(ancestor.table)
        if value is not None:
            return Found(value, ancestor.setting(key))
    return Found(default)


def added_up(line: Lineage, key: str, written: Callable[[GroupTable], tuple[T, ...]]) -> Found[tuple[T, ...]]:
    """The rules of all, the top's first, each once; the setting names every key that has some."""
    holders = [ancestor for ancestor in reversed(line) if written(ancestor.table)]
    rules = dict.fromkeys(rule for holder in holders for rule in written(holder.table))
    return Found(tuple(rules), ", ".join(holder.setting(key) for holder in holders))


def visibility_of(line: Lineage) -> Found[Visibility]:
    return nearest(line, "visibility", lambda table: table.visibility, TOP_VISIBILITY)


def forwarding_of(line: Lineage, instance: Forwarding) -> Found[bool]:
    found, locked = Found(instance.enabled, "forwarding.enabled"), instance.locked
    for ancestor in reversed(line):
        if ancestor.table.forwarding is not None and not locked:
            found = Found(ancestor.table.forwarding, ancestor.setting("forwarding"))
        locked = locked or ancestor.table.locked
    return found
