"""Arguments of commands, parsed into the types that the services take."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click
from packaging.version import InvalidVersion, Version

from proxy.config import parse
from proxy.config.faults import Unfit
from proxy.core.access import Role
from proxy.core.errors import InvalidName
from proxy.core.names import Filename, GroupPath, ProjectName, parse_filename, parse_project_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.config.shapes import Parser
    from proxy.core.registry import Group, Project, Registry

T = TypeVar("T")


class ReleaseArgument(click.ParamType[tuple[ProjectName, Version]]):
    """`NAME==VERSION`."""

    name = "NAME==VERSION"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[ProjectName, Version]:
        name, _, version = value.partition("==")
        try:
            return parse_project_name(name.strip()), Version(version)
        except (InvalidName, InvalidVersion):
            self.fail(f"{value!r} is not of the form NAME==VERSION", param, ctx)


class FilesArgument(click.ParamType[tuple[ProjectName, Version, Filename | None]]):
    """`NAME==VERSION`, or `NAME==VERSION/FILENAME` for one file of it."""

    name = "NAME==VERSION[/FILENAME]"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[ProjectName, Version, Filename | None]:
        release, slash, filename = value.partition("/")
        name, version = ReleaseArgument().convert(release, param, ctx)
        try:
            return name, version, parse_filename(filename) if slash else None
        except InvalidName as error:
            self.fail(error.message, param, ctx)


class NameArgument(click.ParamType[ProjectName]):
    """A project's name in any spelling."""

    name = "NAME"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> ProjectName:
        try:
            return parse_project_name(value)
        except InvalidName as error:
            self.fail(error.message, param, ctx)


class ParsedArgument(click.ParamType[T]):
    """What the config takes under a key of the same meaning; `parse` is its parser."""

    def __init__(self, name: str, parse: Parser[T]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> T:
        try:
            return self._parse(value)
        except Unfit as unfit:
            self.fail("; ".join(fault.what for fault in unfit.faults), param, ctx)


class GrantArgument(click.ParamType[tuple[GroupPath, Role]]):
    """`PATH=ROLE`."""

    name = "PATH=ROLE"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[GroupPath, Role]:
        path, _, role = value.partition("=")
        return (
            ParsedArgument("PATH", parse.any_path).convert(path, param, ctx),
            ParsedArgument("ROLE", parse.role).convert(role, param, ctx),
        )


def check_paths(registry: Registry, paths: Iterable[GroupPath]) -> None:
    """Ends the command with exit status 2 for a path that is neither a group's nor a project's in the config."""
    known = {group.path for group in registry.groups} | {project.path for project in registry.projects}
    for path in paths:
        if path not in known:
            raise click.UsageError(f"the config has no group or project {path!r}; it has {', '.join(sorted(known))}")


def find_group(registry: Registry, text: str) -> Group:
    """The group with this id or path; ends the command with exit status 2 where the config has none."""
    group = registry.find_group(text)
    if group is None:
        known = ", ".join(each.path for each in registry.groups)
        raise click.UsageError(f"the config has no group {text!r}; it has {known}")
    return group


def find_project(registry: Registry, text: str) -> Project:
    """The project with this id or path; ends the command with exit status 2 where the config has none."""
    project = registry.find_project(text)
    if project is None:
        known = ", ".join(each.path for each in registry.projects)
        raise click.UsageError(f"the config has no project {text!r}; it has {known}")
    return project
