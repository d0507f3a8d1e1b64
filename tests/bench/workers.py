"""Two workers on two cores against one worker on one.

The load needs a core's time too: so one worker shares its core with wrk, and two workers share two cores with twice
the wrk. Both then have the same part of a core for each worker.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from tests.bench.cores import BOTH, SERVER
from tests.bench.processes import NotAvailable
from tests.bench.results import Gap, Sample
from tests.bench.servers import SECRET, Product, empty
from tests.bench.session import BROKEN, describe
from tests.bench.warm import ACCEPT, check, plain
from tests.bench.wrk import CONNECTIONS, rush

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from tests.bench.processes import Process
    from tests.bench.servers import Server
    from tests.bench.session import Found, Session

_BASIC: Final = base64.b64encode(f"bench:{SECRET}".encode()).decode()
_KINDS: Final[Mapping[str, Mapping[str, str]]] = {
    "workers-pages": ACCEPT,
    "workers-credential": {**ACCEPT, "Authorization": f"Basic {_BASIC}"},
}


def measure(session: Session) -> Iterator[Found]:
    one, two = Product(session.place), Product(session.place, workers=2)
    if len(BOTH) == 1:
        yield from (Gap(row, one.name, "this machine has one core") for row in _KINDS)
        return
    try:
        with (
            one.process(empty(session.folder / "one"), SERVER) as alone,
            two.process(empty(session.folder / "two"), BOTH) as pair,
        ):
            yield from _compare(session, one, (alone, pair))
    except (NotAvailable, *BROKEN) as error:
        yield from (Gap(row, one.name, describe(error)) for row in _KINDS)


def _compare(session: Session, server: Server, processes: tuple[Process, Process]) -> Iterator[Found]:
    alone, pair = processes
    for row, headers in _KINDS.items():
        session.say(row)
        for _ in range(session.options.rounds):
            one = _rate(session, server, alone, headers, SERVER)
            two = _rate(session, server, pair, headers, BOTH)
            yield Sample(row, server.name, two / one)


def _rate(
    session: Session, server: Server, process: Process, headers: Mapping[str, str], cores: Collection[int]
) -> float:
    page = plain(server, process.url, "six").url
    done = rush(page, headers, session.options.seconds, connections=CONNECTIONS * len(cores), cores=cores)
    process.empty_log()
    return check(done).per_second
