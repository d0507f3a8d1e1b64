"""`check`: the effective config, or every fault in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from proxy.cli.options import config_option, data_dir_option, json_option, read_config
from proxy.config import describe, to_toml

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@config_option
@data_dir_option
@json_option
def check(config_path: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Read the config and print the effective one, secrets masked."""
    effective = describe(read_config(config_path, data_dir=data_dir))
    click.echo(json.dumps(effective, indent=2) if as_json else to_toml(effective), nl=as_json)
