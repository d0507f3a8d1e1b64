"""Progress of long work, on stderr: a bar on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

import click

from proxy.cli.streams import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

_LINES = 8
"""In all, where there is no terminal."""


def in_progress(items: Sequence[T], label: str, *, quiet: bool) -> Iterator[T]:
    """The items, while what was done of them is told; `quiet` tells nothing."""
    if sys.stderr.isatty() and not quiet:
        with click.progressbar(items, label=label, file=sys.stderr) as bar:
            yield from bar
        return
    for done, item in enumerate(items, 1):
        yield item
        if not quiet and done * _LINES // len(items) > (done - 1) * _LINES // len(items):
            say(f"{label}: {100 * done // len(items)}%", sys.stderr)
