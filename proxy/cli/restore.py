"""`restore`: a backup into an empty data directory."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.copying import copy_all, report
from proxy.cli.options import FAILED, config_option, data_dir_option, json_option, read_config, told_errors
from proxy.compose import compose_restore

if TYPE_CHECKING:
    from proxy.config import Config
    from proxy.services.backup import Copied


@click.command()
@click.argument("source", metavar="SRC", type=click.Path(exists=True, file_okay=False, path_type=Path))
@config_option
@data_dir_option
@json_option
def restore(source: Path, config_path: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Put the backup SRC into the data directory, which is empty and not in use.

    A file whose bytes in the backup are damaged is named and left out; the exit status is 1 then.
    """
    config = read_config(config_path, data_dir=data_dir)
    with told_errors():
        copied = asyncio.run(_restore(config, source.absolute(), quiet=as_json))
    report("restored", copied, config.registry, as_json=as_json)
    if copied.findings:
        sys.exit(FAILED)


async def _restore(config: Config, source: Path, *, quiet: bool) -> Copied:
    async with compose_restore(config, source) as copier:
        return await copy_all(copier, "restoring", quiet=quiet)
