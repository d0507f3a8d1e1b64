"""The soak: clients of all manners at one server for a while, each answer judged, the server measured.

summary = soak(60, report=print)
assert not summary.faults
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from tests.e2e.harness import Server, eventually
from tests.fake_index import ThreadedFakeIndex
from tests.soak.client import Client
from tests.soak.exchange import World
from tests.soak.meters import Reading, read_meters
from tests.soak.stage import MAX_CACHE, Ledger, Shelf, config_text
from tests.soak.tally import Tally
from tests.soak.weather import Weather

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

CLIENTS: Final = 8
REPORT_EVERY: Final = 10.0
RELOAD_EVERY: Final = 3.0
MEASURE_EVERY: Final = 0.5

MAX_GROWTH: Final = 64 * 1024 * 1024
"""Bytes of memory that the server may gain after the first third; what it keeps of pages is bounded well below."""
MAX_LEFT_OPEN: Final = 40
"""Descriptors beyond those of an idle server, once the clients have gone: connections that are kept for a while."""
MAX_THREADS: Final = 60
MAX_OVERDRAFT: Final = 2.0
"""How many times `cache.max_size` may be on disk for a moment, with what is on its way."""
SETTLING: Final = 20.0
"""Seconds in which what the clients left behind must be gone."""


@dataclass(frozen=True)
class Summary:
    """What became of it; `faults` are all that must not be, in words. Memory and disk are in bytes."""

    seed: int
    seconds: float
    requests: int
    ends: dict[str, int]
    faults: list[str]
    rss_early: int | None
    rss_late: int | None
    cache_most: int
    cache_end: int
    descriptors_most: int | None
    threads_most: int | None

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class Soak:
    """One run over `folder`, which is empty; `report` is given a line now and then."""

    def __init__(self, folder: Path, seconds: float, seed: int, report: Callable[[str], None]) -> None:
        self._folder = folder
        self._seconds = seconds
        self._seed = seed
        self._report = report
        self._tally = Tally()
        self._ledger = Ledger()
        self._readings: list[Reading] = []

    def run(self) -> Summary:
        with ExitStack() as stack:
            index = stack.enter_context(ThreadedFakeIndex())
            self._configure(index, page_ttl="2s")
            server = stack.enter_context(Server(self._folder / "data", config=self._config))
            world = self._build_world(server, index)
            idle = self._measure(server)
            clients = [Client(world, self._seed, number) for number in range(CLIENTS)]
            with world.weather:
                self._run_clients(server, index, clients)
            self._settle(server, idle)
            for client in clients:
                client.check_published()
            server.terminate()
        self._check_log(server)
        return self._summarise()

    @property
    def _config(self) -> Path:
        return self._folder / "config.toml"

    def _configure(self, index: ThreadedFakeIndex, *, page_ttl: str) -> None:
        self._config.write_text(config_text(index, page_ttl=page_ttl))

    def _build_world(self, server: Server, index: ThreadedFakeIndex) -> World:
        random = Random(self._seed)  # noqa: S311 - to be repeated
        foul = min(4.0, self._seconds / 5)
        weather = Weather(index, random, fair=min(14.0, 2 * foul), foul=foul)
        return World(server.url, Shelf(index, random), self._ledger, weather, self._tally)

    def _run_clients(self, server: Server, index: ThreadedFakeIndex, clients: Sequence[Client]) -> None:
        ending = threading.Event()
        threads = [threading.Thread(target=client.run, args=(ending,), name=client.name) for client in clients]
        for thread in threads:
            thread.start()
        try:
            self._watch(server, index)
        finally:
            ending.set()
            for thread in threads:
                thread.join()

    def _watch(self, server: Server, index: ThreadedFakeIndex) -> None:
        """Measure, report and reload until the time is over."""
        began = time.monotonic()
        next_report, next_reload = REPORT_EVERY, RELOAD_EVERY
        while (now := time.monotonic() - began) < self._seconds and server.process.poll() is None:
            time.sleep(min(MEASURE_EVERY, self._seconds - now))
            reading = self._measure(server)
            if now >= next_report:
                next_report += REPORT_EVERY
                self._report(self._line(now, reading))
            if now >= next_reload:
                next_reload += RELOAD_EVERY
                self._configure(index, page_ttl="1s" if int(now) % 2 else "2s")
                server.send(signal.SIGHUP)

    def _measure(self, server: Server) -> Reading:
        reading = read_meters(server.process.pid, server.data_dir)
        self._readings.append(reading)
        return reading

    def _cached(self, reading: Reading) -> int:
        return max(0, reading.stored - self._ledger.published)

    def _line(self, now: float, reading: Reading) -> str:
        troubles = sum(count for end, count in self._tally.ends.items() if end.endswith("in trouble"))
        return (
            f"{now:5.0f} s  {self._tally.requests} requests  {troubles} failed by the upstream  "
            f"{self._tally.wrong_count} wrong  rss {_mebibytes(reading.rss)}  fds {reading.descriptors}  "
            f"threads {reading.threads}  cache {_mebibytes(self._cached(reading))}"
        )

    def _settle(self, server: Server, idle: Reading) -> None:
        """What the clients left behind must go by itself."""

        def is_settled() -> bool:
            reading = self._measure(server)
            left_open = (reading.descriptors or 0) - (idle.descriptors or 0)
            parts = any((server.data_dir / "parts").iterdir())
            return self._cached(reading) <= MAX_CACHE and left_open <= MAX_LEFT_OPEN and not parts

        try:
            eventually(is_settled, what="settled", seconds=SETTLING)
        except TimeoutError:
            parts = len(list((server.data_dir / "parts").iterdir()))
            self._tally.blame(
                f"not settled after {SETTLING:.0f} s: {self._line(0, self._readings[-1])}, {parts} parts"
            )

    def _check_log(self, server: Server) -> None:
        for line in server.stderr.splitlines():
            if "Traceback" in line or "Task exception" in line or " ERROR " in line:
                self._tally.blame(f"logged: {line}")

    def _summarise(self) -> Summary:
        rss = [reading.rss for reading in self._readings if reading.rss is not None]
        early, late = (rss[len(rss) // 3], rss[-1]) if rss else (None, None)
        descriptors = [reading.descriptors for reading in self._readings if reading.descriptors is not None]
        threads = [reading.threads for reading in self._readings if reading.threads is not None]
        most = max(self._cached(reading) for reading in self._readings)
        self._bound("memory grew", (late or 0) - (early or 0), MAX_GROWTH)
        self._bound("threads", max(threads, default=0), MAX_THREADS)
        self._bound("cache bytes on disk", most, int(MAX_CACHE * MAX_OVERDRAFT))
        return Summary(
            seed=self._seed,
            seconds=self._seconds,
            requests=self._tally.requests,
            ends=dict(sorted(self._tally.ends.items())),
            faults=self._tally.wrong,
            rss_early=early,
            rss_late=late,
            cache_most=most,
            cache_end=self._cached(self._readings[-1]),
            descriptors_most=max(descriptors, default=None),
            threads_most=max(threads, default=None),
        )

    def _bound(self, what: str, value: int, most: int) -> None:
        if value > most:
            self._tally.blame(f"{what}: {value}, over the bound of {most}")


def _mebibytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1024 / 1024:.1f} MiB"
