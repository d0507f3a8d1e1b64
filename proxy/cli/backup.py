"""`backup`: a consistent copy, beside a running server too."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.copying import copy_all, report
from proxy.cli.options import FAILED, config_option, data_dir_option, json_option, read_config, told_errors
from proxy.compose import compose_backup

if TYPE_CHECKING:
    from proxy.config import Config
    from proxy.services.backup import Copied


@click.command()
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@click.option("--cache", "with_cache", is_flag=True, help="Copy cached files too.")
@config_option
@data_dir_option
@json_option
def backup(
    destination: Path, config_path: Path | None, data_dir: Path | None, *, with_cache: bool, as_json: bool
) -> None:
    """Copy all that was published, with tokens, claimed names and cached pages, into the new directory DEST.

    A file that was lost or damaged is named and left out; the exit status is 1 then. The config file is not copied.
    """
    config = read_config(config_path, data_dir=data_dir)
    with told_errors():
        copied = asyncio.run(_backup(config, destination.absolute(), with_cache=with_cache, quiet=as_json))
    report("backed up", copied, config.registry, as_json=as_json)
    if copied.findings:
        sys.exit(FAILED)


async def _backup(config: Config, destination: Path, *, with_cache: bool, quiet: bool) -> Copied:
    async with compose_backup(config, destination, with_cache=with_cache) as copier:
        return await copy_all(copier, "backing up", quiet=quiet)
