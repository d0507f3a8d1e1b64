"""The registry: groups, projects and upstreams as the config states them, inheritance resolved.

Frozen: a reload makes a new one. Every group's parent and every project's group is in it; ids are positive.
`settings` on a group tells, for each inherited key, which key of the config it came from, so that a decision can
name it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from proxy.core.errors import InvalidName
from proxy.core.names import GroupPath, parse_group_path, root_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxy.core.rules import Exemption, NamePattern, NameRule


class Visibility(StrEnum):
    PUBLIC = "public"
    PRIVATE = "private"


class Duplicates(StrEnum):
    REJECT = "reject"
    IDENTICAL = "identical"


class FileUrls(StrEnum):
    RELATIVE = "relative"
    UPSTREAM = "upstream"


class ForwardingMode(StrEnum):
    STREAM = "stream"
    REDIRECT = "redirect"


@dataclass(frozen=True, slots=True)
class Upstream:
    """A remote index. `file_hosts` are the further `host` or `host:port` that its links may name."""

    name: str
    url: str
    file_hosts: tuple[str, ...] = ()
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    connect_timeout: timedelta = timedelta(seconds=5)
    page_timeout: timedelta = timedelta(seconds=8)
    read_timeout: timedelta = timedelta(seconds=30)
    max_connections: int = 100


@dataclass(frozen=True, slots=True)
class Group:
    """A group with its effective rules (its parents' taken in)."""

    id: int
    path: GroupPath
    visibility: Visibility = Visibility.PUBLIC
    forwarding: bool = True
    upstreams: tuple[str, ...] = ("pypi",)
    reserved: tuple[NamePattern, ...] = ()
    allow: tuple[NameRule, ...] = ()
    deny: tuple[NameRule, ...] = ()
    min_age: timedelta = timedelta(0)
    min_age_exempt: tuple[Exemption, ...] = ()
    merge: tuple[NamePattern, ...] = ()
    file_urls: FileUrls = FileUrls.RELATIVE
    settings: Mapping[str, str] = field(default_factory=dict, compare=False)

    def setting(self, key: str) -> str:
        """The config key that decides `key` for this group."""
        return self.settings.get(key, f'groups."{self.path}".{key}')


@dataclass(frozen=True, slots=True)
class Protection:
    """Who may push or delete names that match; None leaves that action unprotected."""

    pattern: NamePattern
    push: str | None = None
    delete: str | None = None


@dataclass(frozen=True, slots=True)
class Project:
    id: int
    path: GroupPath
    group: GroupPath
    visibility: Visibility = Visibility.PUBLIC
    open_registry: bool = False
    duplicates: Duplicates = Duplicates.REJECT
    protection: tuple[Protection, ...] = ()


class Registry:
    """All groups, projects and upstreams, found by number or path."""

    def __init__(
        self,
        groups: Iterable[Group],
        projects: Iterable[Project],
        upstreams: Iterable[Upstream],
        mode: ForwardingMode = ForwardingMode.STREAM,
    ) -> None:
        self.mode = mode
        self.groups = tuple(groups)
        self.projects = tuple(projects)
        self.upstreams = {upstream.name: upstream for upstream in upstreams}
        self._groups = {key: group for group in self.groups for key in (group.id, group.path)}
        self._projects = {key: project for project in self.projects for key in (project.id, project.path)}
        self._below = {group.path: self._projects_below(group.path) for group in self.groups}

    def find_group(self, identifier: str) -> Group | None:
        """The group with this number or path, as a route gives it."""
        return self._groups.get(_key(identifier))

    def find_project(self, identifier: str) -> Project | None:
        return self._projects.get(_key(identifier))

    def group_of(self, scope: Group | Project) -> Group:
        """The group whose rules apply: the group itself, or the project's."""
        return scope if isinstance(scope, Group) else self._groups[scope.group]

    def root_of(self, scope: Group | Project) -> Group:
        """The top-level group: the reach of a local name."""
        return self._groups[root_path(scope.path)]

    def projects_of(self, scope: Group | Project) -> tuple[Project, ...]:
        """The projects a scope gathers: a group's and its descendants', or the project itself."""
        return (scope,) if isinstance(scope, Project) else self._below[scope.path]

    def _projects_below(self, path: GroupPath) -> tuple[Project, ...]:
        return tuple(project for project in self.projects if project.path.startswith(f"{path}/"))


def _key(identifier: str) -> int | GroupPath:
    if identifier.isascii() and identifier.isdigit():
        return int(identifier) if len(identifier) <= 18 else -1
    try:
        return parse_group_path(identifier)
    except InvalidName:
        return -1
