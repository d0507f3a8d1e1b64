"""Logging: to stderr, as text or as one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from proxy.config.schema import LogFormat

if TYPE_CHECKING:
    from proxy.config.schema import Log


class JsonFormatter(logging.Formatter):
    """`pid` tells the lines of several processes apart."""

    def __init__(self, *, pid: bool = False) -> None:
        super().__init__()
        self._pid = pid

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, str | int | None] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if self._pid:
            line["pid"] = record.process
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up_logging(log: Log, *, pid: bool = False) -> None:
    """Log by these settings from now on; with the process's id where it is one of several."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter(f"%(asctime)s %(levelname)s {'[%(process)d] ' if pid else ''}%(message)s")
    handler.setFormatter(JsonFormatter(pid=pid) if log.format is LogFormat.JSON else text)
    logging.basicConfig(level=log.level.upper(), handlers=[handler], force=True)
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)  # at DEBUG it would log whole pages
