"""Words on stdout and stderr that are worth less than the work: their end may be a file on a full disk, or nobody."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from typing import TextIO


def say(line: str, stream: TextIO | None) -> None:
    """Write the line where it can be written; a stream that was closed before the start is None."""
    with suppress(OSError):
        if stream is not None:
            click.echo(line, file=stream)


def drop_unwritten() -> None:
    """Call it last: what still cannot be written would make Python exit with status 120, whatever ours is."""
    streams: tuple[TextIO | None, ...] = (sys.stdout, sys.stderr)
    for stream in filter(None, streams):
        try:
            stream.flush()
        except OSError:
            _lead_nowhere(stream.fileno())


def _lead_nowhere(fd: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, fd)
    os.close(nowhere)
