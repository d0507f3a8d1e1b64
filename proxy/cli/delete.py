"""`delete`: takes published files away, beside a running server too."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from proxy.cli.arguments import FilesArgument, find_project
from proxy.cli.options import config_option, data_dir_option, json_option, read_config, told_errors
from proxy.compose import compose_store
from proxy.services.remove import Remover

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from packaging.version import Version

    from proxy.config import Config
    from proxy.core.local import LocalFile
    from proxy.core.names import Filename, ProjectName
    from proxy.core.registry import Project


@click.command()
@click.argument("project")
@click.argument("files", type=FilesArgument())
@config_option
@data_dir_option
@json_option
def delete(
    project: str,
    files: tuple[ProjectName, Version, Filename | None],
    config_path: Path | None,
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Delete a version from PROJECT, or one file of it. The name stays local until it is released."""
    config = read_config(config_path, data_dir=data_dir)
    target = find_project(config.registry, project)
    with told_errors():
        deleted = asyncio.run(_delete(config, target, *files))
    names = [file.filename for file in deleted]
    click.echo(json.dumps({"deleted": names}) if as_json else "\n".join(f"deleted {name}" for name in names))


async def _delete(
    config: Config, project: Project, name: ProjectName, version: Version, filename: Filename | None
) -> Sequence[LocalFile]:
    async with compose_store(config) as store:
        return await Remover(config.registry, store).delete(project, name, version, filename)
