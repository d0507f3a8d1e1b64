"""Options that commands share, and what becomes of errors: a message on stderr and an exit code, never a trace."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.config import Config, load_config
from proxy.core.errors import InvalidConfig, SidecarError

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILED = 1
BAD_CONFIG = 2

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The config file (else $PYPI_SIDECAR_CONFIG, else ./config.toml, else the defaults).",
)
data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Where everything is kept."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Report as JSON.")


def load(path: Path | None, **server: object) -> Config:
    """The config with the command line's `server` keys over it (None: not given); raises InvalidConfig."""
    given = {key: str(value.absolute()) if isinstance(value, Path) else value for key, value in server.items()}
    return load_config(path, os.environ, server={key: value for key, value in given.items() if value is not None})


def read_config(path: Path | None, **server: object) -> Config:
    """As `load`; exits with 2 and every fault."""
    with told_faults():
        return load(path, **server)


@contextmanager
def told_faults() -> Iterator[None]:
    """An invalid config becomes a line a fault on stderr, and exit status 2."""
    try:
        yield
    except InvalidConfig as error:
        for fault in error.faults:
            click.echo(fault, err=True)
        sys.exit(BAD_CONFIG)


@contextmanager
def told_errors() -> Iterator[None]:
    """Errors of the tree become a line on stderr and exit status 1."""
    try:
        yield
    except SidecarError as error:
        click.echo(f"pypi-sidecar: {error.message}", err=True)
        sys.exit(FAILED)
