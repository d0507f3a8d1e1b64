"""Arguments of commands, parsed into the types that the services take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from packaging.version import InvalidVersion, Version

from proxy.core.errors import InvalidName
from proxy.core.names import ProjectName, parse_project_name

if TYPE_CHECKING:
    from proxy.core.registry import Project, Registry


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


class NameArgument(click.ParamType[ProjectName]):
    """A project's name in any spelling."""

    name = "NAME"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> ProjectName:
        try:
            return parse_project_name(value)
        except InvalidName as error:
            self.fail(error.message, param, ctx)


def find_project(registry: Registry, text: str) -> Project:
    """The project with this id or path; ends the command with exit status 2 where the config has none."""
    project = registry.find_project(text)
    if project is None:
        known = ", ".join(each.path for each in registry.projects)
        raise click.UsageError(f"the config has no project {text!r}; it has {known}")
    return project
