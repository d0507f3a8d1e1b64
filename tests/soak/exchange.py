"""One request of a client and the judgement on its end."""

from __future__ import annotations

import hashlib
import http.client
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.e2e.wire import ask

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tests.e2e.wire import Reply
    from tests.soak.stage import Ledger, Shelf
    from tests.soak.tally import Tally
    from tests.soak.weather import Weather

TROUBLE: Final = frozenset({502, 503})
PATIENCE: Final = 12.0
"""Seconds: trouble is told within ten, and this machine may be busy."""


class World(NamedTuple):
    """What all clients share."""

    url: str
    shelf: Shelf
    ledger: Ledger
    weather: Weather
    tally: Tally


class Exchanges:
    """`what` names a kind of request in reports."""

    def __init__(self, world: World) -> None:
        self._world = world

    def ask(
        self,
        what: str,
        path: str,
        expected: Collection[int],
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        forwarded: bool = False,
    ) -> Reply | None:
        """The answer, when it has an expected status; None when it failed, which only what is `forwarded` may, and
        only in foul weather.
        """
        began = time.monotonic()
        try:
            reply = ask(method, self._world.url + path, headers=headers, body=body)
        except (OSError, http.client.HTTPException) as error:
            excused = forwarded and not isinstance(error, TimeoutError)
            self._judge_failure(what, path, began, repr(error), "cut off", excused=excused)
            return None
        if reply.status in expected:
            self._world.tally.count(f"{what} {reply.status}")
            return reply
        excused = forwarded and reply.status in TROUBLE and time.monotonic() - began < PATIENCE
        self._judge_failure(
            what, path, began, f"{reply.status} {reply.body[:200]!r}", str(reply.status), excused=excused
        )
        return None

    def check(self, what: str, body: bytes, sha256: str) -> None:
        """These must be the bytes with this digest."""
        self.expect(hashlib.sha256(body).hexdigest() == sha256, f"{what}: wrong bytes in place of {sha256}")

    def expect(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as an assertion
        if not holds:
            self._world.tally.blame(otherwise)

    def _judge_failure(self, what: str, path: str, began: float, told: str, end: str, *, excused: bool) -> None:
        if excused and self._world.weather.may_have_hit(began):
            self._world.tally.count(f"{what} {end} in trouble")
        else:
            took = time.monotonic() - began
            self._world.tally.blame(f"{what}: {path} after {took:.1f} s: {told}")
