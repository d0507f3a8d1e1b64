"""`yank`, `unyank` and `status`: what may be said of published releases, beside a running server too."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, TypeVar

import click

from proxy.cli.arguments import NameArgument, ReleaseArgument, find_project
from proxy.cli.options import config_option, data_dir_option, json_option, read_config, told_errors
from proxy.compose import compose_store
from proxy.core.model import ProjectStatus, Status
from proxy.services.curate import Curator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from packaging.version import Version

    from proxy.config import Config
    from proxy.core.local import LocalFile
    from proxy.core.names import ProjectName

T = TypeVar("T")


@click.command()
@click.argument("project")
@click.argument("release", type=ReleaseArgument())
@click.option("--reason", default="", help="Shown to whoever pins the release.")
@config_option
@data_dir_option
@json_option
def yank(
    project: str,
    release: tuple[ProjectName, Version],
    reason: str,
    config_path: Path | None,
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Have installers pass over a release of PROJECT unless it is pinned."""
    config = read_config(config_path, data_dir=data_dir)
    target = find_project(config.registry, project)
    files = _run(config, lambda curator: curator.yank(target, *release, reason))
    _report("yanked", files, as_json=as_json)


@click.command()
@click.argument("project")
@click.argument("release", type=ReleaseArgument())
@config_option
@data_dir_option
@json_option
def unyank(
    project: str,
    release: tuple[ProjectName, Version],
    config_path: Path | None,
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Take back a yank."""
    config = read_config(config_path, data_dir=data_dir)
    target = find_project(config.registry, project)
    files = _run(config, lambda curator: curator.unyank(target, *release))
    _report("unyanked", files, as_json=as_json)


@click.command()
@click.argument("project")
@click.argument("name", type=NameArgument())
@click.argument("marker", metavar="STATUS", type=click.Choice([each.value for each in Status]))
@click.option("--reason", help="Shown beside the status.")
@config_option
@data_dir_option
def status(
    project: str, name: ProjectName, marker: str, reason: str | None, config_path: Path | None, data_dir: Path | None
) -> None:
    """Mark NAME in PROJECT as active, archived, quarantined or deprecated."""
    config = read_config(config_path, data_dir=data_dir)
    target = find_project(config.registry, project)
    _run(config, lambda curator: curator.set_status(target, name, ProjectStatus(Status(marker), reason)))
    click.echo(f"{name} is {marker}")


def _run(config: Config, act: Callable[[Curator], Awaitable[T]]) -> T:
    async def run() -> T:
        async with compose_store(config) as store:
            return await act(Curator(store))

    with told_errors():
        return asyncio.run(run())


def _report(what: str, files: Sequence[LocalFile], *, as_json: bool) -> None:
    names = [file.filename for file in files]
    click.echo(json.dumps({what: names}) if as_json else "\n".join(f"{what} {name}" for name in names))
