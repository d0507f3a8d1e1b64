"""Lines of the access log on stderr, as `logging` would write them there and at a tenth of its cost: it is on by
default, and without care it would take as long as the answers that it tells of.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from proxy.config.schema import LogFormat
from proxy.web.access_log import ACCESS_LOG, LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from aiohttp import web

    from proxy.web.access_log import Answered


def write_access_lines(app: web.Application, form: LogFormat, *, pid: bool = False) -> None:
    """Have the application tell of its answers on stderr, from now on; with its id where it is one of several."""
    app[ACCESS_LOG].write = AccessLines(sys.stderr, form, os.getpid() if pid else None)


class AccessLines:
    """Writes to `stream` (None: there is none), as long as records of that level are wanted at all."""

    def __init__(self, stream: TextIO | None, form: LogFormat, pid: int | None = None) -> None:
        self._stream = stream
        self._line: Callable[[Answered], str] = _Json(pid).line if form is LogFormat.JSON else _Text(pid).line

    def __call__(self, answers: Sequence[Answered]) -> None:
        if self._stream is None or not LOGGER.isEnabledFor(logging.INFO):
            return
        with suppress(OSError, ValueError):  # a full disk, or a stream that was closed: worth less than the answers
            self._stream.write("".join(map(self._line, answers)))
            self._stream.flush()


class _Text:
    """`2026-03-01 12:30:15,123 INFO …`, in local time; the second is written once for all its lines."""

    def __init__(self, pid: int | None) -> None:
        self._level = "INFO" if pid is None else f"INFO [{pid}]"
        self._second = -1
        self._stamp = ""

    def line(self, answered: Answered) -> str:
        second = int(answered.at)
        if second != self._second:
            self._second, self._stamp = second, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return f"{self._stamp},{int((answered.at - second) * 1000):03d} {self._level} {answered.line}\n"


class _Json:
    def __init__(self, pid: int | None) -> None:
        self._process = {} if pid is None else {"pid": pid}

    def line(self, answered: Answered) -> str:
        line = {
            "time": datetime.fromtimestamp(answered.at, UTC).isoformat(),
            "level": "info",
            "logger": LOGGER.name,
            "message": answered.line,
            **self._process,
        }
        return f"{json.dumps(line)}\n"
