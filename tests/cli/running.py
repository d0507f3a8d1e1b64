"""Runs commands in this process, as a user would type them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from proxy.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def run(data_dir: Path, *words: str) -> Result:
    """The result of `pypi-sidecar WORDS` over `data_dir`, with an empty config file: the defaults."""
    config = data_dir.parent / "empty.toml"
    config.touch()
    return CliRunner().invoke(main, [*words, "--config", str(config), "--data-dir", str(data_dir)])
