"""The cached pages of upstreams: fetched once for all who ask, revalidated when they expire, stale when they must be.

`core.freshness` says what to do; here it is done. A page in memory is one that the store has, decoded.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol, assert_never

from cachetools import LRUCache, TTLCache
from msgspec.structs import replace

from proxy.core import cache_status
from proxy.core.digests import Sha256
from proxy.core.errors import StorageTrouble, UpstreamBroken, UpstreamTrouble
from proxy.core.freshness import (
    CacheRules,
    Fetch,
    Fresh,
    Revalidate,
    Stale,
    Unavailable,
    age_beyond,
    before_request,
    usable_on_error,
)
from proxy.core.model import PageEntry
from proxy.ports import Absent, CoreMetadataStore, FetchedPage, NotModified, PageStore
from proxy.services.coalesce import Coalescer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.core.cache_status import CacheStatus
    from proxy.core.model import File
    from proxy.core.names import ProjectName
    from proxy.ports import Clock, Upstream

logger = logging.getLogger(__name__)

MAX_FILES_IN_MEMORY = 60_000
"""Listed files of all pages held decoded, about 1 KB each; the store keeps the rest."""
MAX_NEGATIVE = 10_000
TROUBLE_PAUSE = timedelta(seconds=5)
"""How long stale pages are served without asking again after a failure."""

_serials = count()


class PageAndMetadataStore(PageStore, CoreMetadataStore, Protocol):
    """What the pages are kept in."""


@dataclass(frozen=True)
class CachedPage:
    """A page in memory.

    `core_metadata` is what was read out of its wheels here, by the wheel's digest. `serial` is another for each
    content: what was rendered from it can be kept under it.
    """

    entry: PageEntry
    core_metadata: Mapping[Sha256, Sha256] = field(default_factory=dict)
    serial: int = field(default_factory=lambda: next(_serials))

    @cached_property
    def files(self) -> tuple[File, ...]:
        """The upstream's files; core metadata, its own or what we read, is offered with a sha256 or not at all."""
        return tuple(map(self._shown, self.entry.detail.files))

    @cached_property
    def _by_name(self) -> Mapping[str, File]:
        return {file.filename: file for file in self.entry.detail.files}

    def find(self, sha256: Sha256, filename: str) -> File | None:
        file = self._by_name.get(filename)
        return file if file is not None and file.sha256 == sha256 else None

    def _shown(self, file: File) -> File:
        known = self.core_metadata.get(file.sha256)
        if promised_metadata(file) or (known is None and not file.core_metadata):
            return file
        return replace(file, core_metadata={"sha256": known} if known else False)


def promised_metadata(file: File) -> Sha256 | None:
    """The sha256 of the core metadata that the upstream offers; a promise without one could not be kept (PEP 714)."""
    promise = file.core_metadata
    return None if isinstance(promise, bool) or "sha256" not in promise else Sha256(promise["sha256"])


class Seen(NamedTuple):
    """What an upstream says of a name: its page, or None where it has none."""

    page: CachedPage | None
    status: CacheStatus


class _Key(NamedTuple):
    upstream: str
    name: ProjectName


class UpstreamPages:
    def __init__(
        self, upstreams: Mapping[str, Upstream], store: PageAndMetadataStore, rules: CacheRules, clock: Clock
    ) -> None:
        self._upstreams = upstreams
        self._store = store
        self._rules = rules
        self._clock = clock
        self._flights: Coalescer[_Key, Seen] = Coalescer()
        self._memory: LRUCache[_Key, CachedPage] = LRUCache(
            MAX_FILES_IN_MEMORY, getsizeof=lambda page: len(page.entry.detail.files) + 1
        )
        self._absent = _absent_names(rules, clock)
        self._trouble: TTLCache[str | _Key, str] = TTLCache(
            MAX_NEGATIVE, TROUBLE_PAUSE.total_seconds(), timer=lambda: clock.now().timestamp()
        )

    async def get(self, upstream: str, name: ProjectName) -> Seen:
        """What `upstream` says of `name`, now or as far as may be relied on; raises UpstreamTrouble."""
        key = _Key(upstream, name)
        if key in self._absent:
            return Seen(None, cache_status.ABSENT)
        page = await self._find(key)
        entry = page.entry if page else None
        plan = before_request(entry, self._rules, self._clock.now(), trouble=self._trouble_with(key, entry))
        match plan:
            case Fresh(_, ttl):
                return Seen(page, cache_status.fresh(ttl))
            case Stale():
                return self._stale(page, "stale-if-error")
            case Unavailable(why):
                raise UpstreamTrouble(why)
            case Revalidate(_, serve_meanwhile=True):
                self._flights.start(key, lambda: self._refresh(key, page))
                return self._stale(page, "stale-while-revalidate")
            case Revalidate() | Fetch():
                return await self._flights.run(key, lambda: self._refresh(key, page))
        assert_never(plan)

    async def get_last(self, upstream: str, name: ProjectName) -> Seen:
        """As `get`; where the upstream is in trouble, the last good page stands in however old it is."""
        try:
            return await self.get(upstream, name)
        except UpstreamTrouble:
            if (page := await self._find(_Key(upstream, name))) is None:
                raise
            return self._stale(page, "stale-if-error")

    async def learn(self, upstream: str, name: ProjectName, wheel: Sha256, metadata: Sha256) -> None:
        """Note what a wheel's core metadata is, and show it on the page from now on."""
        key = _Key(upstream, name)
        await self._store.save_core_metadata(upstream, name, wheel, metadata)
        if (page := self._memory.get(key)) is not None:
            self._remember(key, CachedPage(page.entry, {**page.core_metadata, wheel: metadata}))

    def configure(self, rules: CacheRules) -> None:
        """Go by other rules from now on; what is kept stays."""
        self._rules = rules
        self._absent = _absent_names(rules, self._clock)

    async def close(self) -> None:
        await self._flights.close()

    async def _with_core_metadata(self, key: _Key, entry: PageEntry) -> CachedPage:
        try:
            return CachedPage(entry, await self._store.list_core_metadata(*key))
        except StorageTrouble as error:
            logger.warning("cannot read what is known of the wheels of %s: %s", key.name, error)
            return CachedPage(entry)

    async def _find(self, key: _Key) -> CachedPage | None:
        page = self._memory.get(key)
        if page is None:
            try:
                entry = await self._store.find_page(*key)
            except StorageTrouble as error:
                logger.warning("cannot read the cached page of %s: %s", key.name, error)
                return None
            page = await self._with_core_metadata(key, entry) if entry else None
            self._remember(key, page)
        return page

    async def _refresh(self, key: _Key, page: CachedPage | None) -> Seen:
        """Ask the upstream, keep what it says; where it is in trouble, the page at hand stands in."""
        upstream = self._upstreams[key.upstream]
        entry = page.entry if page else None
        may_confirm = entry is not None and entry.links == upstream.links
        try:
            answer = await upstream.fetch_page(key.name, entry.validators if entry and may_confirm else None)
        except UpstreamTrouble as error:
            return self._stand_in(key, page, error)
        now = self._clock.now()
        match answer:
            case FetchedPage(detail, validators):
                entry = PageEntry(upstream.name, detail, validators, now, upstream.links)
                fetched = await self._with_core_metadata(key, entry)
                await self._keep(key, fetched)
                status = cache_status.revalidated(stored=True) if page else cache_status.STORED
                return Seen(fetched, status)
            case NotModified():
                assert page is not None  # noqa: S101  (the adapter says so only where validators were sent)
                return Seen(await self._confirm(key, page, now), cache_status.revalidated(stored=False))
            case Absent():
                await self._forget(key)
                return Seen(None, cache_status.STORED)
        assert_never(answer)

    def _stand_in(self, key: _Key, page: CachedPage | None, error: UpstreamTrouble) -> Seen:
        logger.warning("%s", error)
        self._trouble[key if isinstance(error, UpstreamBroken) else key.upstream] = error.message
        if page is None or not usable_on_error(page.entry, self._rules, self._clock.now()):
            raise error
        return self._stale(page, "stale-if-error")

    def _trouble_with(self, key: _Key, entry: PageEntry | None) -> str | None:
        """Why the upstream is not asked just now. A name that was never seen is always worth asking for."""
        if entry is None:
            return None
        return self._trouble.get(key) or self._trouble.get(key.upstream)

    def _stale(self, page: CachedPage | None, why: str) -> Seen:
        assert page is not None  # noqa: S101  (only a page at hand is ever planned to be served stale)
        return Seen(page, cache_status.stale(age_beyond(page.entry, self._rules, self._clock.now()), why))

    async def _keep(self, key: _Key, page: CachedPage) -> None:
        self._remember(key, page)
        try:
            await self._store.save_page(page.entry)
        except StorageTrouble as error:
            logger.warning("cannot keep the page of %s: %s", key.name, error)

    async def _confirm(self, key: _Key, page: CachedPage, now: datetime) -> CachedPage:
        current = self._memory.get(key, page)  # what was learnt of its wheels meanwhile stays
        confirmed = CachedPage(replace(page.entry, checked_at=now), current.core_metadata, current.serial)
        self._remember(key, confirmed)
        try:
            await self._store.confirm_page(key.upstream, key.name, now)
        except StorageTrouble as error:
            logger.warning("cannot note that the page of %s is unchanged: %s", key.name, error)
        return confirmed

    async def _forget(self, key: _Key) -> None:
        self._absent[key] = True
        self._memory.pop(key, None)
        try:
            await self._store.delete_page(*key)
        except StorageTrouble as error:
            logger.warning("cannot forget the page of %s: %s", key.name, error)

    def _remember(self, key: _Key, page: CachedPage | None) -> None:
        """Keep a decoded page; one over the whole bound stays in the store alone."""
        if page is not None and len(page.entry.detail.files) < MAX_FILES_IN_MEMORY:
            self._memory[key] = page


def _absent_names(rules: CacheRules, clock: Clock) -> TTLCache[_Key, bool]:
    """Negative entries: bounded in number and in time."""
    return TTLCache(MAX_NEGATIVE, rules.negative_ttl.total_seconds(), timer=lambda: clock.now().timestamp())
