"""The whole, put together: `async with compose(config) as server` opens everything, and closes it in reverse order."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from yarl import URL

from proxy.config import check_anonymous_setting
from proxy.core.access import Principal
from proxy.core.errors import StorageFull, StorageTrouble
from proxy.core.hosts import is_loopback, is_unspecified
from proxy.core.tokens import Token
from proxy.disk import give_up_reserve, hold_data_dir, lay_in_reserve, make_data_dir, open_blob_store, open_flights
from proxy.disk.backups import building, read_marker
from proxy.disk.restoring import restoring
from proxy.services.absences import Absences, make_absence_board
from proxy.services.backup import Copier
from proxy.services.cache_gauge import CacheGauge
from proxy.services.cache_uses import CacheUses
from proxy.services.download_times import DownloadTimes
from proxy.services.downloads import Downloads, Told
from proxy.services.events import Events
from proxy.services.files import Files
from proxy.services.grounds import Recall
from proxy.services.guesses import Guesses, make_guess_board
from proxy.services.janitor import Duties, Janitor
from proxy.services.listings import Listings
from proxy.services.local_memory import LocalMemory
from proxy.services.metered_upstream import MeteredUpstream
from proxy.services.meters import Board
from proxy.services.neighbours import ALONE, Neighbours
from proxy.services.packages import Packages
from proxy.services.pages import Pages
from proxy.services.publish import Publisher
from proxy.services.readiness import Readiness
from proxy.services.tokens import StoredTokens, Tokens
from proxy.services.upstream_pages import UpstreamPages
from proxy.services.verify import Verifier
from proxy.services.wheel_metadata import WheelMetadata
from proxy.sqlite.backup import check_database, copy_database, seal_database
from proxy.sqlite.store import FILENAME, open_store
from proxy.upstream import HttpUpstream
from proxy.web.app import build_app
from proxy.web.site import CURRENT, AccessRules, Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from proxy.config import Config
    from proxy.core.registry import Upstream
    from proxy.disk import DiskBlobStore
    from proxy.ports import Flights, MetadataStore
    from proxy.services.listings import UpstreamFile
    from proxy.services.meters import Meters
    from proxy.services.notes import Notes
    from proxy.sqlite.store import SqliteStore

logger = logging.getLogger(__name__)


class SystemClock:
    """Fills `ports.Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class Server:
    """What runs. What holds state lives as long as it; what only follows the config is made anew by a reload."""

    def __init__(
        self,
        stack: AsyncExitStack,
        store: SqliteStore,
        blobs: DiskBlobStore,
        config: Config,
        place: Place,
    ) -> None:
        self._workers = place.duties.workers
        self._meters = place.meters
        self._events = Events(place.meters)
        self._stack = stack
        self._store = store
        self._blobs = blobs
        self._host = config.server.host
        self._clock = SystemClock()
        self._local = LocalMemory(store)
        self._tokens = StoredTokens(store)
        self._guesses = Guesses(place.guesses)
        self._clients: dict[str, HttpUpstream] = {}
        self._upstreams: dict[str, MeteredUpstream] = {}
        self._pages = UpstreamPages(
            self._upstreams,
            store,
            config.cache.rules,
            self._clock,
            on_joined=self._events.page_joined,
            neighbours=place.neighbours,
        )
        self._recall = Recall(self._local, self._pages, self._clock)
        self._wheel_metadata = WheelMetadata(self._upstreams, self._pages, blobs, store, self._clock)
        self._downloads = Downloads(
            self._upstreams,
            blobs,
            store,
            self._clock,
            self._take_note,
            Told(self._events.not_cached, self._events.file_joined),
            place.neighbours.flights,
        )
        self._download_times = DownloadTimes(store, self._clock)
        self._cache_uses = CacheUses(store, self._clock)
        self._cache_gauge = CacheGauge(store)
        self._readiness = Readiness({"database": store, "blobs": blobs})
        self._janitor = Janitor(
            blobs, store, self._cache_uses, self._clock, config.cache.max_size, self._events.freed, place.duties
        )
        self.app = build_app()

    async def configure(self, config: Config) -> None:
        """Go by `config` from the next request on; requests under way end by the one they began with.

        Raises InvalidConfig for one that must not be served here, and StorageTrouble; nothing has changed then.
        """
        config = replace(config, server=replace(config.server, host=self._host))  # the socket stays where it is
        await self._know_tokens(config)
        for upstream in config.registry.upstreams.values():
            await self._connect(upstream)
        for client in self._clients.values():
            client.offline = config.cache.offline
        self._pages.configure(config.cache.rules)
        self._janitor.configure(config.cache.max_size)
        self.app[CURRENT].site = self._build_site(config)

    def start(self) -> None:
        """Begin what goes on by itself."""
        self._janitor.start()

    async def close(self) -> None:
        """End what runs; the adapters are closed after it."""
        await self._readiness.close()
        await self._cache_gauge.close()
        await self._janitor.close()
        await self._downloads.close()
        await self._download_times.close()
        await self._cache_uses.close()
        await self._wheel_metadata.close()
        await self._pages.close()

    def _take_note(self, file: UpstreamFile) -> None:
        """A file came into the cache. (Its core metadata will be measured with the rest, being small.)"""
        self._events.cached()
        self._janitor.note_cached(file.file.size)
        self._wheel_metadata.keep_aside(file)

    async def _know_tokens(self, config: Config) -> None:
        await self._tokens.load()
        check_anonymous_setting(config, has_token=self._tokens.in_use)
        if config.tokens:
            await self._tokens.note_token()

    async def _connect(self, upstream: Upstream) -> None:
        """A changed upstream gets a client of its own; the old one serves its last requests until the server stops.

        Of the connections that it may have, each worker gets its share.
        """
        upstream = replace(upstream, max_connections=max(1, upstream.max_connections // self._workers))
        client = self._clients.get(upstream.name)
        if client is None or client.settings != upstream:
            client = self._clients[upstream.name] = await self._stack.enter_async_context(HttpUpstream(upstream))
            self._upstreams[upstream.name] = MeteredUpstream(client, self._meters)

    def _build_site(self, config: Config) -> Site:
        registry, clock = config.registry, self._clock
        listings = Listings(registry, self._local, self._pages)
        return Site(
            registry=registry,
            default_group=config.server.default_group,
            default_project=config.server.default_project,
            external_url=config.server.external_url,
            access_log=config.log.access,
            access=_access_rules(config),
            trusted_proxies=config.server.trusted_proxies,
            tokens=Tokens(configured_tokens(config), self._tokens),
            guesses=self._guesses,
            pages=Pages(listings, clock),
            files=Files(
                listings, self._downloads, self._wheel_metadata, self._blobs, self._store, self._upstreams, clock
            ),
            recall=self._recall,
            publisher=Publisher(
                registry, self._store, self._blobs, clock, config.server.max_upload_size, self._events.published
            ),
            packages=Packages(registry, self._store, self._events.deleted),
            download_times=self._download_times,
            cache_uses=self._cache_uses,
            readiness=self._readiness,
            meters=self._meters,
            cache_gauge=self._cache_gauge,
        )


def make_board(processes: int = 1) -> Board:
    """What the processes of a server count on, made before the first of them is forked."""
    return Board(SystemClock().now().timestamp(), processes)


class Place(NamedTuple):
    """What a process has of what all the processes of a server share."""

    meters: Meters
    guesses: Notes
    neighbours: Neighbours = ALONE
    duties: Duties = Duties()


class Crew:
    """What the workers of one server share: made before the first of them is forked."""

    def __init__(self, size: int, flights: Flights) -> None:
        self.size = size
        self._flights = flights
        self._board = make_board(size)
        self._guesses = make_guess_board(size)
        self._absences = make_absence_board(size)

    def place(self, number: int) -> Place:
        """For one worker; `number` counts from 0."""
        return Place(
            self._board.meters(number),
            self._guesses.notes(number),
            Neighbours(self._flights, Absences(self._absences.notes(number))),
            Duties(self.size, sweeps=number == 0),
        )


@contextmanager
def hold_together(config: Config) -> Iterator[Crew]:
    """Hold the data directory for workers that are forked inside the block; raises StorageTrouble."""
    with hold_data_dir(config.server.data_dir), open_flights() as flights:
        yield Crew(config.server.workers, flights)


@asynccontextmanager
async def compose(config: Config, meters: Meters | None = None) -> AsyncIterator[Server]:
    """The server over the config's data directory; raises StorageTrouble where that cannot be had.

    Raises InvalidConfig as `Server.configure` does. `meters` are those of this process, where it shares a board with
    others (`make_board`); without them it counts for itself.
    """
    with hold_data_dir(config.server.data_dir):
        place = Place(meters or make_board().meters(), make_guess_board().notes())
        async with compose_worker(config, place) as server:
            yield server


@asynccontextmanager
async def compose_worker(config: Config, place: Place) -> AsyncIterator[Server]:
    """As `compose`, in a data directory that is held: by this process, or by the one that it was forked from."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(_open_rows(config.server.data_dir))
        blobs = await stack.enter_async_context(open_blob_store(config.server.data_dir))
        await blobs.sweep(datetime.now(UTC))  # the directory is ours: a part that nobody has open is a leftover
        server = Server(stack, store, blobs, config, place)
        await server.configure(config)
        stack.push_async_callback(server.close)
        server.start()
        yield server


@asynccontextmanager
async def compose_store(config: Config, *, create: bool = False) -> AsyncIterator[MetadataStore]:
    """The rows alone, beside a running server or without one; raises StorageTrouble.

    `create` makes the data directory and its database where there are none, which is an error otherwise.
    """
    database = config.server.data_dir / FILENAME
    if create:
        make_data_dir(config.server.data_dir)
    elif not database.exists():
        raise StorageTrouble(
            f"there is no data in {config.server.data_dir}; name another --data-dir or start a server"
        )
    async with _open_rows(config.server.data_dir) as store:
        yield store


@asynccontextmanager
async def compose_publisher(config: Config) -> AsyncIterator[Publisher]:
    """What publishes, beside a running server or without one, in a directory that is made where there is none."""
    data_dir = config.server.data_dir
    async with open_blob_store(data_dir) as blobs, _open_rows(data_dir) as store:
        yield Publisher(config.registry, store, blobs, SystemClock(), config.server.max_upload_size)


@asynccontextmanager
async def compose_janitor(config: Config) -> AsyncIterator[Janitor]:
    """What frees space, beside a running server or without one; raises StorageTrouble.

    It does not know what a running server is sending: who has a blob open reads on.
    """
    async with compose_store(config) as store, open_blob_store(config.server.data_dir) as blobs:
        clock = SystemClock()
        yield Janitor(blobs, store, CacheUses(store, clock), clock, config.cache.max_size)


@asynccontextmanager
async def compose_verifier(config: Config, *, repair: bool) -> AsyncIterator[Verifier]:
    """What reads all blobs again, beside a running server or without one; raises StorageTrouble."""
    async with compose_store(config) as store, open_blob_store(config.server.data_dir) as blobs:
        yield Verifier(store, blobs, SystemClock(), repair=repair)


@asynccontextmanager
async def compose_backup(config: Config, destination: Path, *, with_cache: bool) -> AsyncIterator[Copier]:
    """What fills the backup `destination`, which is there when the block ends well; raises StorageTrouble.

    Beside a running server or without one. The rows are copied before their blobs, of which none is deleted meanwhile:
    what the copied rows name is there.
    """
    data_dir = config.server.data_dir
    async with compose_store(config), open_blob_store(data_dir) as blobs:
        with building(destination, now=SystemClock().now(), with_cache=with_cache) as backup:
            database = backup / FILENAME
            async with blobs.held_still():
                await asyncio.to_thread(copy_database, data_dir / FILENAME, database)
                async with open_store(database) as rows, open_blob_store(backup) as target:
                    yield Copier(rows, blobs, target, with_cached=with_cache)
            await asyncio.to_thread(seal_database, database)


@asynccontextmanager
async def compose_restore(config: Config, backup: Path) -> AsyncIterator[Copier]:
    """What fills the data directory, on which a server starts when the block has ended well; raises StorageTrouble.

    Nothing but its lock is written unless this version knows the backup's formats and the directory is empty and not
    in use.
    """
    marker, data_dir = read_marker(backup), config.server.data_dir
    await asyncio.to_thread(check_database, backup / FILENAME)
    with restoring(data_dir, FILENAME) as database:
        await asyncio.to_thread(copy_database, backup / FILENAME, database)
        async with (
            open_store(database) as rows,
            open_blob_store(backup) as source,
            open_blob_store(data_dir) as target,
        ):
            yield Copier(rows, source, target, with_cached=marker.with_cache)
        await asyncio.to_thread(seal_database, database)


@asynccontextmanager
async def _open_rows(data_dir: Path) -> AsyncIterator[SqliteStore]:
    """The rows. On a full disk the reserve is given up for them; whoever closes them lays it in again."""
    async with AsyncExitStack() as afterwards, AsyncExitStack() as stack:
        if full := await asyncio.to_thread(give_up_reserve, data_dir):
            logger.warning("the disk is full: free some space")
        try:
            store = await stack.enter_async_context(open_store(data_dir / FILENAME))
        except StorageTrouble as error:
            if not full:
                raise
            raise StorageFull(f"no space or no inode is left for {data_dir}: free some") from error
        if not full:
            await asyncio.to_thread(lay_in_reserve, data_dir)
        afterwards.push_async_callback(asyncio.to_thread, lay_in_reserve, data_dir)
        yield store


def _access_rules(config: Config) -> AccessRules:
    """Unset `anonymous` opens the server to this machine while nothing points to anybody else (contract section 3)."""
    server = config.server
    open_to_this_machine = is_loopback(server.host) and not server.external_url and not server.trusted_proxies
    if config.access.anonymous is None:
        return AccessRules(None, open_to_this_machine)
    named = frozenset({server.host, URL(server.external_url).host or ""})
    return AccessRules(config.access.anonymous, open_to_this_machine, named, is_unspecified(server.host))


def configured_tokens(config: Config) -> Iterable[Token]:
    """The tokens of the config file."""
    for token in config.tokens:
        principal = Principal(token.kind, token.name, token.username, token.scopes, token.access)
        yield Token(principal, token.sha256, expires_at=token.expires)
