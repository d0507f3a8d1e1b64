"""Files that nobody has asked for yet: how long the first byte takes, and how often the upstream is asked."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Final

from tests.bench.fetching import download, download_at_once
from tests.bench.processes import NotAvailable
from tests.bench.servers import Product
from tests.bench.site import made_files
from tests.bench.warm import ACCEPT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.fetching import Download
    from tests.bench.processes import Process
    from tests.bench.servers import Server
    from tests.bench.session import Fleet, Found, Session
    from tests.bench.site import MadeFile

_EACH_ROUND: Final = 5
_CROWDS: Final = (20, 100)
_GETS: Final = ("gets-20", "gets-100", "gets-page")
CROWD_FILES: Final = 2_000
_SETTLED: Final = 0.3
"""Seconds until the upstream has logged what it was asked: it does so when an answer has ended."""


def cold_files(rounds: int) -> list[MadeFile]:
    return made_files("bench-cold", rounds * _EACH_ROUND, 2_000_000)


def slow_files(rounds: int) -> list[MadeFile]:
    """Each takes a second to come."""
    return made_files("bench-slow", rounds * len(_CROWDS), 4_000_000)


def crowd_page(number: int) -> str:
    """A project of the upstream for each round, whose page takes a part of a second to come."""
    return f"bench-crowd-{number}"


def measure(session: Session) -> Iterator[Found]:
    with session.fleet(session.caches) as fleet:
        if session.options.wants("cold-file"):
            session.say("cold files")
            yield from fleet.compare(["cold-file"], _FirstByte(session))
        if any(map(session.options.wants, _GETS)):
            session.say("upstream GETs of many clients")
            yield from _crowds(session, fleet, _GETS)
    rows = [f"workers-{row}" for row in _GETS]
    if any(map(session.options.wants, rows)):
        session.say("upstream GETs of many clients, two workers")
        with session.fleet([Product(session.place, workers=2)]) as fleet:
            yield from _crowds(session, fleet, rows)


def _crowds(session: Session, fleet: Fleet, rows: Sequence[str]) -> Iterator[Found]:
    crowds = _Crowds(session)
    yield from fleet.compare(rows[:-1], crowds.files)
    yield from fleet.compare(rows[-1:], crowds.page)


class _FirstByte:
    """Milliseconds over a direct download of the same file just before."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._files = cold_files(session.options.rounds)

    def __call__(self, server: Server, process: Process, number: int) -> list[float]:
        files = self._files[number * _EACH_ROUND :][:_EACH_ROUND]
        return [statistics.median(self._added(server, process, file) for file in files)]

    def _added(self, server: Server, process: Process, file: MadeFile) -> float:
        link = server.file(process.url, file.project, file.filename)
        direct = download(f"{self._session.place.upstream}/files/bench/{file.filename}")
        through = download(link)
        if (through.status, through.size) != (200, file.size):
            raise NotAvailable(f"answers {through.status} and {through.size} bytes for a cold file")
        return (through.first_byte - direct.first_byte) * 1000


class _Crowds:
    """Upstream GETs for each crowd."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._files = slow_files(session.options.rounds)

    def files(self, server: Server, process: Process, number: int) -> Sequence[float]:
        files = self._files[number * len(_CROWDS) :]
        return [self._file(server, process, file, clients) for file, clients in zip(files, _CROWDS, strict=False)]

    def page(self, server: Server, process: Process, number: int) -> Sequence[float]:
        project = crowd_page(number)
        gets, found = self._ask(server.page(process.url, project), f"/{project}/", _CROWDS[0])
        if any(each.status != 200 for each in found):
            raise NotAvailable(f"not each of {_CROWDS[0]} clients got the page")
        return [gets]

    def _file(self, server: Server, process: Process, file: MadeFile, clients: int) -> float:
        link = server.file(process.url, file.project, file.filename)
        gets, found = self._ask(link, f"/{file.filename}", clients)
        if any((each.status, each.size) != (200, file.size) for each in found):
            raise NotAvailable(f"not each of {clients} clients got the file")
        return gets

    def _ask(self, url: str, path: str, clients: int) -> tuple[float, Sequence[Download]]:
        before = self._session.upstream.gets(path)
        found = download_at_once(url, clients, ACCEPT)
        time.sleep(_SETTLED)
        return float(self._session.upstream.gets(path) - before), found
