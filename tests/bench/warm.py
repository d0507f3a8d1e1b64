"""Warm pages and small files: requests a second over connections that stay, and the server's CPU for them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.bench.processes import NotAvailable
from tests.bench.site import SMALL
from tests.bench.wrk import rush
from tests.e2e.wire import JSON, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.bench.processes import Process
    from tests.bench.servers import Server
    from tests.bench.session import Found, Session
    from tests.bench.wrk import Rush

    Want = Callable[[Server, str], "Wanted"]
    """What to ask of a server at this URL."""

ACCEPT: Final = {"Accept": JSON}
_MAX_FAILURES: Final = 0.01


class Wanted(NamedTuple):
    url: str
    headers: Mapping[str, str]


def measure(session: Session) -> Iterator[Found]:
    with session.fleet(session.servers) as fleet:
        if session.options.wants("six") or session.options.wants("cpu"):
            session.say("six")
            yield from fleet.compare(["six", "cpu"], partial(_six, session))
        for row, want in _WANTS.items():
            if session.options.wants(row):
                session.say(row)
                yield from fleet.compare([row], partial(_rate, session, want))


def _rate(session: Session, want: Want, server: Server, process: Process, _: int) -> list[float]:
    done, _cpu = _rush(session, process, want(server, process.url))
    return [done.per_second]


def _six(session: Session, server: Server, process: Process, _: int) -> list[float]:
    done, cpu = _rush(session, process, plain(server, process.url, "six"))
    return [done.per_second, cpu / done.answers * 1000]


def _rush(session: Session, process: Process, wanted: Wanted) -> tuple[Rush, float]:
    """What came of it, and the server's CPU seconds; raises NotAvailable when too much failed."""
    began = process.cpu
    done = rush(wanted.url, wanted.headers, session.options.seconds)
    return check(done), process.cpu - began


def check(done: Rush) -> Rush:
    """It, unless too much failed; raises NotAvailable."""
    if not done.answers or done.failures > done.answers * _MAX_FAILURES:
        raise NotAvailable(f"{done.failures} of {done.answers} answers failed")
    return done


def plain(server: Server, url: str, project: str) -> Wanted:
    """Once asked, so that it is warm; raises NotAvailable where the answer is not the page."""
    page = server.page(url, project)
    reply = ask("GET", page, headers=ACCEPT)
    if reply.status != 200 or b'"files"' not in reply.body:
        raise NotAvailable(f"answers {reply.status} for a page")
    return Wanted(page, ACCEPT)


def _gzip(server: Server, url: str) -> Wanted:
    headers = {**ACCEPT, "Accept-Encoding": "gzip"}
    page = server.page(url, "six")
    if ask("GET", page, headers=headers).headers.get("content-encoding") != "gzip":
        raise NotAvailable("no gzip")
    return Wanted(page, headers)


def _unchanged(server: Server, url: str) -> Wanted:
    page = server.page(url, "six")
    etag = ask("GET", page, headers=ACCEPT).headers.get("etag")
    if etag is None:
        raise NotAvailable("no ETag")
    headers = {**ACCEPT, "If-None-Match": etag}
    if ask("GET", page, headers=headers).status != 304:
        raise NotAvailable("no 304")
    return Wanted(page, headers)


def _small(server: Server, url: str) -> Wanted:
    link = server.file(url, SMALL.project, SMALL.filename)
    reply = ask("GET", link)
    if reply.status != 200 or len(reply.body) != SMALL.size:
        raise NotAvailable(f"answers {reply.status} and {len(reply.body)} bytes for a file")
    return Wanted(link, {})


_WANTS: Final[Mapping[str, Want]] = {
    "six-gzip": _gzip,
    "six-304": _unchanged,
    "requests": lambda server, url: plain(server, url, "requests"),
    "boto3": lambda server, url: plain(server, url, "boto3"),
    "small": _small,
}
