"""`gc`: makes the cache fit its size and sweeps leftovers now, beside a running server or without one."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from proxy.cli.options import config_option, data_dir_option, json_option, read_config, told_errors
from proxy.compose import compose_janitor

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.config import Config
    from proxy.services.janitor import Freed

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


@click.command()
@config_option
@data_dir_option
@json_option
def gc(config_path: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Evict cached files to cache.max_size and remove leftovers. Published files stay."""
    config = read_config(config_path, data_dir=data_dir)
    with told_errors():
        freed = asyncio.run(_collect(config))
    click.echo(json.dumps({**asdict(freed), "bytes": freed.bytes}) if as_json else "\n".join(_lines(freed)))


async def _collect(config: Config) -> Freed:
    """Leftovers go at any age: what somebody writes to, or is about to name, tells so by its lock."""
    now = timedelta(0)
    async with compose_janitor(config) as janitor:
        return await janitor.sweep(part_age=now, blob_age=now) + await janitor.evict()


def _lines(freed: Freed) -> list[str]:
    return [
        f"evicted files: {freed.evicted_files}, {_size(freed.evicted_bytes)}",
        f"evicted pages: {_size(freed.page_bytes)}",
        f"leftover files: {freed.leftover_files}, {_size(freed.leftover_bytes)}",
        f"unfinished files: {_size(freed.part_bytes)}",
        f"rows without a file: {freed.forgotten_rows}",
        f"freed {_size(freed.bytes)}",
    ]


def _size(count: int) -> str:
    """In the largest unit that keeps it at one or more."""
    size, unit = float(count), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{count} bytes"
