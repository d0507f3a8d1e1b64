"""`import`: publishes every distribution in a directory."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.arguments import find_project
from proxy.cli.options import FAILED, config_option, data_dir_option, json_option, read_config, told_errors
from proxy.compose import compose_publisher
from proxy.services.importing import Imported, Importer, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.config import Config
    from proxy.core.registry import Project


@click.command("import")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--project", required=True, help="The project to publish into: its number or path.")
@config_option
@data_dir_option
@json_option
def import_(directory: Path, project: str, config_path: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Publish the distributions in DIRECTORY and below, skipping what is there; run it again to go on."""
    config = read_config(config_path, data_dir=data_dir)
    target = find_project(config.registry, project)
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    with told_errors():
        done = asyncio.run(_import(config, target, paths, quiet=as_json))
    _report(done, as_json=as_json)
    if any(each.outcome is Outcome.REFUSED for each in done):
        sys.exit(FAILED)


async def _import(config: Config, project: Project, paths: Sequence[Path], *, quiet: bool) -> list[Imported]:
    """One after the other: each is fsynced, and a disk does that one at a time."""
    done: list[Imported] = []
    hidden = quiet or not sys.stderr.isatty()
    async with compose_publisher(config) as publisher:
        importer = Importer(publisher, project)
        with click.progressbar(paths, label="importing", file=sys.stderr, hidden=hidden) as progress:
            for path in progress:
                done.append(await importer.add(path))
                if hidden and not quiet:
                    click.echo(_line(done[-1]), err=True)
    return done


def _line(each: Imported) -> str:
    return f"{each.outcome} {each.path}{f': {each.reason}' if each.reason else ''}"


def _report(done: Sequence[Imported], *, as_json: bool) -> None:
    counts = Counter(each.outcome for each in done)
    if as_json:
        files = [{"path": str(e.path), "outcome": e.outcome, "reason": e.reason} for e in done]
        click.echo(json.dumps({**{outcome: counts[outcome] for outcome in Outcome}, "files": files}))
        return
    click.echo(", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome))
    for each in done:
        if each.reason:
            click.echo(_line(each))
