"""A start with nothing stored, and what a server takes while nobody asks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tests.bench.processes import NotAvailable
from tests.bench.results import Gap, Sample
from tests.bench.session import BROKEN, MEGABYTE, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.session import Found, Session

_IDLE: Final = 1.0


def measure(session: Session) -> Iterator[Found]:
    missing: dict[str, str] = {}
    for number in range(session.options.rounds):
        session.say(f"starts, round {number + 1}")
        for server in session.servers:
            if server.name in missing:
                continue
            try:
                with session.running(server) as process:
                    time.sleep(_IDLE)
                    yield Sample("start", server.name, process.startup)
                    yield Sample("idle", server.name, process.pss / MEGABYTE)
            except (NotAvailable, *BROKEN) as error:
                missing[server.name] = describe(error)
    yield from (Gap(row, name, why) for name, why in missing.items() for row in ("start", "idle"))
