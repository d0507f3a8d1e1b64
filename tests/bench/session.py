"""One run of the bench: what is wanted, where everything lies, and servers that are started together."""

from __future__ import annotations

import http.client
import re
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Final

from tests.bench.catalog import ROWS
from tests.bench.fetching import Broken
from tests.bench.processes import NotAvailable
from tests.bench.results import Gap, Sample
from tests.bench.servers import Product, empty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.bench.nginx import Upstream
    from tests.bench.processes import Process
    from tests.bench.recording import Recording
    from tests.bench.servers import Place, Server

    Found = Sample | Gap
    Turn = Callable[[Server, Process, int], Sequence[float]]

MEGABYTE: Final = 1_000_000
BROKEN: Final = (OSError, http.client.HTTPException, Broken, subprocess.SubprocessError, ValueError, KeyError)
"""What an answer that is none does to its client: a peer's trouble ends its row, not the run."""


@dataclass(frozen=True)
class Options:
    """`only` is patterns of rows as a shell has them, with commas; `seconds` is how long wrk asks each time."""

    only: str = "*"
    rounds: int = 3
    seconds: float = 2.0

    def wants(self, row: str) -> bool:
        return any(fnmatch(row, pattern) for pattern in self.only.split(","))

    def unknown(self) -> list[str]:
        """The patterns that no row has."""
        return [pattern for pattern in self.only.split(",") if not any(fnmatch(row, pattern) for row in ROWS)]

    def wants_part(self, part: str) -> bool:
        return any(self.wants(row.key) for row in ROWS.values() if row.part == part)


@dataclass
class Session:
    options: Options
    folder: Path
    place: Place
    upstream: Upstream
    recording: Recording
    servers: Sequence[Server]
    say: Callable[[str], None]
    peaks: dict[str, int] = field(default_factory=dict)

    @property
    def product(self) -> Product:
        return Product(self.place)

    @property
    def caches(self) -> list[Server]:
        """Those that fetch from the upstream."""
        return [server for server in self.servers if server.caches]

    @contextmanager
    def running(self, server: Server) -> Iterator[Process]:
        """One server with nothing cached; its peak counts for the run, where it is one worker. Raises NotAvailable."""
        folder = empty(self.folder / re.sub(r"\W", "-", server.name))
        with server.process(folder) as process:
            try:
                yield process
            finally:
                self.note_peak(server, process)
        empty(folder)

    def note_peak(self, server: Server, process: Process) -> None:
        """Of servers with one worker, as their peers are: several would add up what they share, once for each."""
        if server.workers > 1:
            return
        self.peaks[server.name] = max(self.peaks.get(server.name, 0), process.note_peak())

    @contextmanager
    def fleet(self, servers: Sequence[Server]) -> Iterator[Fleet]:
        """All of them, for rounds in which each has its turn."""
        with ExitStack() as stack:
            processes: dict[Server, Process] = {}
            failures: dict[Server, str] = {}
            for server in servers:
                try:
                    processes[server] = stack.enter_context(self.running(server))
                except NotAvailable as error:
                    failures[server] = str(error)
            yield Fleet(processes, failures, self.options.rounds)


@dataclass(frozen=True)
class Fleet:
    processes: Mapping[Server, Process]
    failures: Mapping[Server, str]
    rounds: int

    def compare(self, rows: Sequence[str], turn: Turn, *, rounds: int | None = None) -> Iterator[Found]:
        """A turn gives the values of these rows. Rounds are interleaved: A B C A B C, so that noise meets all."""
        missing = dict(self.failures)
        for number in range(rounds or self.rounds):
            for server, process in self.processes.items():
                if server in missing:
                    continue
                try:
                    values = turn(server, process, number)
                except (NotAvailable, *BROKEN) as error:
                    missing[server] = describe(error)
                else:
                    yield from (Sample(row, server.name, value) for row, value in zip(rows, values, strict=True))
                process.empty_log()
        yield from (Gap(row, server.name, why) for row in rows for server, why in missing.items())


def describe(error: Exception) -> str:
    """For the row that has no value."""
    return str(error) if isinstance(error, NotAvailable) else f"{type(error).__name__}: {error}"
