"""`release`: gives a deleted private name back to forwarding, beside a running server too."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from proxy.cli.arguments import NameArgument, find_group
from proxy.cli.options import config_option, data_dir_option, json_option, read_config, told_errors
from proxy.compose import compose_store
from proxy.services.remove import Remover

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.config import Config
    from proxy.core.names import ProjectName
    from proxy.core.registry import Group


@click.command()
@click.argument("name", type=NameArgument())
@click.option("--group", help="The group whose name it was (else server.default_group).")
@config_option
@data_dir_option
@json_option
def release(
    name: ProjectName, group: str | None, config_path: Path | None, data_dir: Path | None, *, as_json: bool
) -> None:
    """Give NAME up: from now on it may be forwarded, in the whole top-level group."""
    config = read_config(config_path, data_dir=data_dir)
    target = find_group(config.registry, group or config.server.default_group)
    with told_errors():
        root = asyncio.run(_release(config, target, name))
    told = json.dumps({"released": name, "group": root.path})
    click.echo(told if as_json else f"{name} is no longer held by {root.path}")


async def _release(config: Config, group: Group, name: ProjectName) -> Group:
    async with compose_store(config) as store:
        return await Remover(config.registry, store).release(group, name)
