"""The access log: a line for each answer, gathered for one turn of the event loop and written together."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    Write: TypeAlias = Callable[[Sequence["Answered"]], None]

LOGGER: Final = logging.getLogger("proxy.access")


class Answered(NamedTuple):
    """What is told of an answer. `at` is in seconds since 1970; the query, which may hold a secret, is left out."""

    at: float
    remote: str
    method: str
    path: str
    status: str
    seconds: float
    request_id: str
    cache_status: str

    @property
    def line(self) -> str:
        _, remote, method, path, status, seconds, request_id, cache_status = self
        return f"{remote} {method} {path} {status} {seconds * 1000:.1f}ms {request_id} [{cache_status}]"


def log_each(answers: Sequence[Answered]) -> None:
    """A record of the logger `proxy.access` for each."""
    for answered in answers:
        LOGGER.info("%s", answered.line)


class AccessLog:
    """`write` may be replaced; it must not raise."""

    def __init__(self, write: Write = log_each) -> None:
        self.write = write
        self._noted: list[Answered] = []

    def note(self, answered: Answered) -> None:
        """An answer was given; it is told when all that is at hand has been done."""
        if not self._noted:
            asyncio.get_running_loop().call_soon(self._tell)
        self._noted.append(answered)

    def _tell(self) -> None:
        noted, self._noted = self._noted, []
        self.write(noted)


ACCESS_LOG = web.AppKey("access_log", AccessLog)
