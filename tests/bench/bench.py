"""The whole run: a fake PyPI out of the recording, then every part that is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.bench import cold, cold_files, growth, installs, large, starting, warm, workers
from tests.bench.catalog import FILES, ROWS
from tests.bench.cores import LOAD
from tests.bench.nginx import Upstream
from tests.bench.peers import Peers
from tests.bench.processes import NotAvailable, free_port
from tests.bench.recording import PAGES, Recording
from tests.bench.results import Sample
from tests.bench.servers import ALL, Place, Product
from tests.bench.session import MEGABYTE, Session
from tests.bench.site import LARGE, SMALL, Site, write_bodies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.bench.servers import Server
    from tests.bench.session import Found, Options


def peaks(session: Session) -> Iterator[Found]:
    """Of the parts before it; those after it are the product's alone."""
    yield from (Sample("peak", name, peak / MEGABYTE) for name, peak in session.peaks.items())


PARTS: Final = {
    "warm": warm.measure,
    "large": large.measure,
    "cold": cold.measure,
    "cold-file": cold_files.measure,
    "start": starting.measure,
    "workers": workers.measure,
    "installs": installs.measure,
    "peak": peaks,
    "growth-files": growth.measure_files,
    "growth-connections": growth.measure_connections,
    "growth-projects": growth.measure_projects,
}


def choose_servers(peers: str) -> list[type[Server]]:
    """The product, and of its peers all, none, or those named; raises SystemExit for a name that none has."""
    known = {kind.name.replace(" ", "-"): kind for kind in ALL if kind is not Product}
    wanted = {"all": list(known), "none": []}.get(peers, peers.split(","))
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"no such peer: {', '.join(unknown)}; there are {', '.join(known)}")
    return [Product, *(kind for name, kind in known.items() if name in wanted)]


class Bench:
    """`cache` keeps what later runs use again; all else is below the folder given to `run`, and goes with it."""

    def __init__(
        self, options: Options, servers: Sequence[type[Server]], cache: Path, say: Callable[[str], None]
    ) -> None:
        self._options = options
        self._servers = servers
        self._recording = Recording(cache, say)
        self._peers = Peers(cache / "peers", say)
        self._say = say

    def run(self, folder: Path) -> Iterator[Found]:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        far, near = Site(folder / "far", f"{url}/files/"), Site(folder / "near", "/files/", packed=True)
        made = folder / "made"
        self._say("preparing")
        self._fill(far, near, made)
        upstream = Upstream(folder / "upstream", far.pages, made, self._recording.files, port=port)
        place = Place(url, near.pages, made, self._recording.files, self._peers)
        servers = [kind(place) for kind in self._servers]
        session = Session(self._options, folder, place, upstream, self._recording, servers, self._say)
        with upstream.process(LOAD):
            for part, measure in PARTS.items():
                if self._options.wants_part(part):
                    yield from self._wanted(measure(session))

    def _wanted(self, found: Iterator[Found]) -> Iterator[Found]:
        """A part measures what belongs together; rows that were not asked for go."""
        for each in found:
            assert each.row in ROWS
            if self._options.wants(each.row):
                yield each

    def _fill(self, far: Site, near: Site, made: Path) -> None:
        for name in PAGES:
            page = self._recording.page(name)
            far.add_page(name, page)
            if name != "ddtrace":  # the bare servers have only what they are asked for
                near.add_page(name, page)
        rounds = self._options.rounds
        groups = [[SMALL], cold_files.cold_files(rounds), cold_files.slow_files(rounds)]
        if self._options.wants_part("large"):
            groups.append([LARGE])
        for files in groups:
            write_bodies(made, files)
            for site in (far, near):
                site.add_made(files, made)
        for number in range(rounds):
            far.add_growth(cold_files.crowd_page(number), cold_files.CROWD_FILES)
        if self._options.wants_part("growth-files"):
            for count in FILES:
                far.add_growth(growth.page_name(count), count)
        if self._options.wants_part("installs"):
            self._fill_installs((far, near))

    def _fill_installs(self, sites: Sequence[Site]) -> None:
        """Where it cannot be recorded, uv fails and its row says so."""
        try:
            self._recording.fetch_wheels()
            for name in self._recording.pinned_names():
                for site in sites:
                    site.add_page(name, self._recording.page(name))
        except (NotAvailable, LookupError) as error:
            self._say(str(error))
