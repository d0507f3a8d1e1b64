"""A file of 200 MB out of the cache: bytes a second, CPU for them, and whether memory grows with the file."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.bench.fetching import download, download_at_once
from tests.bench.processes import NotAvailable
from tests.bench.session import MEGABYTE
from tests.bench.site import LARGE, SMALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.processes import Process
    from tests.bench.servers import Server
    from tests.bench.session import Found, Session

_GIGABYTE: Final = 1_000_000_000
_CLIENTS: Final = (1, 8)
_FILES: Final = 8
"""In all, one after another or at once: CPU is counted in hundredths of a second."""


def measure(session: Session) -> Iterator[Found]:
    servers = [server for server in session.servers if server.name != "uvicorn"]  # it would send it from memory
    with session.fleet(servers) as fleet:
        yield from fleet.compare(["large-memory"], _memory, rounds=1)
        for clients in _CLIENTS:
            session.say(f"large file, {clients} clients")
            yield from fleet.compare([f"large-{clients}", f"large-cpu-{clients}"], partial(_speed, clients))


def _memory(server: Server, process: Process, _: int) -> list[float]:
    """While the file is fetched, where it is not there yet: the peak knows one first time alone."""
    download(server.file(process.url, SMALL.project, SMALL.filename))
    before = process.note_peak()
    if download(server.file(process.url, LARGE.project, LARGE.filename)).size != LARGE.size:
        raise NotAvailable("sends no whole file")
    return [(process.note_peak() - before) / MEGABYTE]


def _speed(clients: int, server: Server, process: Process, _: int) -> list[float]:
    link = server.file(process.url, LARGE.project, LARGE.filename)
    cpu, began = process.cpu, time.monotonic()
    sizes = [found.size for _ in range(_FILES // clients) for found in download_at_once(link, clients)]
    seconds = time.monotonic() - began
    if sizes != [LARGE.size] * _FILES:
        raise NotAvailable("sends no whole file")
    total = sum(sizes) / _GIGABYTE
    return [total / seconds, (process.cpu - cpu) / total]
