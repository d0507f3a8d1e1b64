"""Pages that nobody has asked for yet, and what another client notices of their being fetched and parsed."""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from tests.bench.fetching import download
from tests.bench.processes import NotAvailable
from tests.bench.results import Gap, Sample
from tests.bench.session import BROKEN, MEGABYTE, describe
from tests.bench.warm import ACCEPT, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.servers import Server
    from tests.bench.session import Found, Session

_PAUSE: Final = 0.002
_QUIET: Final = 1.0
_SMALLEST: Final = 500_000
"""Bytes: proxpi leaves out half of what a page has."""
_ROWS: Final = (
    "wait-quiet",
    "cold-boto3",
    "wait-boto3",
    "cold-ddtrace",
    "wait-ddtrace",
    "peak-ddtrace",
    "cold-memory",
)


def measure(session: Session) -> Iterator[Found]:
    """Every round starts each server anew with nothing cached."""
    missing: dict[str, str] = {}
    for number in range(session.options.rounds):
        session.say(f"cold pages, round {number + 1}")
        for server in session.caches:
            if server.name not in missing:
                try:
                    yield from _turn(session, server)
                except (NotAvailable, *BROKEN) as error:
                    missing[server.name] = describe(error)
    yield from (Gap(row, name, why) for name, why in missing.items() for row in _ROWS)


def _turn(session: Session, server: Server) -> Iterator[Found]:
    with session.running(server) as process:
        six = plain(server, process.url, "six").url
        with Bystander(six) as other:
            time.sleep(_QUIET)
        yield Sample("wait-quiet", server.name, other.longest * 1000)
        before = process.note_peak()
        for project in ("boto3", "ddtrace"):
            with Bystander(six) as other:
                found = download(server.page(process.url, project), ACCEPT)
            if found.status != 200 or found.size < _SMALLEST:
                raise NotAvailable(f"answers {found.status} and {found.size} bytes for {project}")
            yield Sample(f"cold-{project}", server.name, found.whole)
            yield Sample(f"wait-{project}", server.name, other.longest * 1000)
        yield Sample("peak-ddtrace", server.name, process.note_peak() / MEGABYTE)
        yield Sample("cold-memory", server.name, (process.peak - before) / MEGABYTE)


class Bystander:
    """Inside the block another client asks for a warm page every two milliseconds; `longest` is its longest wait."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._ending = threading.Event()
        self._asking = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.longest = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        self._asking.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _ask(self) -> None:
        with closing(http.client.HTTPConnection(self._parts.netloc, timeout=60)) as connection:
            try:
                self._wait_for(connection)  # its connection is not what is measured
                self.longest = 0.0
            finally:
                self._asking.set()
            while not self._ending.wait(_PAUSE):
                self._wait_for(connection)

    def _wait_for(self, connection: http.client.HTTPConnection) -> None:
        began = time.monotonic()
        connection.request("GET", self._parts.path, headers=ACCEPT)
        connection.getresponse().read()
        self.longest = max(self.longest, time.monotonic() - began)
