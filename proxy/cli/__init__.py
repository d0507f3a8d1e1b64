"""The command `pypi-sidecar`: one file a command, all through `compose`."""

from __future__ import annotations

import click

from proxy import __version__
from proxy.cli.backup import backup
from proxy.cli.check import check
from proxy.cli.curate import status, unyank, yank
from proxy.cli.delete import delete
from proxy.cli.gc import gc
from proxy.cli.import_ import import_
from proxy.cli.release import release
from proxy.cli.restore import restore
from proxy.cli.serve import serve
from proxy.cli.token import token
from proxy.cli.verify import verify


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pypi-sidecar")
def main() -> None:
    """A private Python index and a caching proxy of PyPI in one small server."""


for command in (serve, check, import_, yank, unyank, status, delete, release, token, verify, gc, backup, restore):
    main.add_command(command)
