"""What upstreams say of names: asked once for all who want to know, believed while fresh, stale when it must be.

`core.freshness` says what to do; here it is done. Where a page is at hand, a newer one is waited for only briefly: the
flight goes on by itself, and what it brings is there for the next who asks.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, assert_never

from proxy.core import cache_status
from proxy.core.errors import UpstreamBroken, UpstreamTrouble
from proxy.core.freshness import (
    CacheRules,
    Fetch,
    Fresh,
    Plan,
    Revalidate,
    Stale,
    Unavailable,
    age_beyond,
    before_request,
    is_old_copy,
    usable_on_error,
)
from proxy.core.model import PageEntry
from proxy.ports import Absent, FetchedPage, NotModified
from proxy.services.cached_pages import CachedPages, PageKey
from proxy.services.coalesce import Coalescer
from proxy.services.neighbours import ALONE, ENOUGH, wait_for_claim
from proxy.services.upstream_trouble import PATIENCE, Troubles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from proxy.core.cache_status import CacheStatus
    from proxy.core.digests import Sha256
    from proxy.core.names import ProjectName
    from proxy.ports import Clock, Upstream
    from proxy.services.cached_pages import CachedPage, PageAndMetadataStore
    from proxy.services.neighbours import Neighbours
    from proxy.services.upstream_trouble import Patience, Trouble

logger = logging.getLogger(__name__)


class Seen(NamedTuple):
    """What an upstream says of a name: its page, or None where it has none."""

    page: CachedPage | None
    status: CacheStatus


class Unfetched(Exception):
    """The upstream has the project, and its page is not here."""


class UpstreamPages:
    """`on_joined` is told of each caller who wants a page that is being fetched for another."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        store: PageAndMetadataStore,
        rules: CacheRules,
        clock: Clock,
        patience: Patience = PATIENCE,
        on_joined: Callable[[], None] = lambda: None,
        neighbours: Neighbours = ALONE,
    ) -> None:
        self._upstreams = upstreams
        self._cached = CachedPages(store, neighbours.absences)
        self._neighbours = neighbours.flights
        self._rules = rules
        self._clock = clock
        self._patience = patience
        self._troubles = Troubles()
        self._flights: Coalescer[PageKey, Seen] = Coalescer(on_joined)
        self._heads: Coalescer[PageKey, bool | None] = Coalescer()

    async def get(self, upstream: str, name: ProjectName) -> Seen:
        """What `upstream` says of `name`, now or as far as may be relied on; raises UpstreamTrouble."""
        return await self._get(PageKey(upstream, name), self._rules, self._patience)

    async def look(self, upstream: str, name: ProjectName) -> Seen:
        """As `get`, but no page that is not here is fetched: raises Unfetched where there is one, UpstreamTrouble."""
        key = PageKey(upstream, name)
        absent = self._cached.is_absent(key, self._rules.negative_ttl, self._clock.now())
        if self._rules.offline or absent or await self._cached.find(key):
            return await self.get(upstream, name)
        there = await self._heads.run(key, lambda: self._has_page(key))
        if there:
            raise Unfetched
        if there is None:
            return await self.get(upstream, name)
        await self._cached.forget(key, self._clock.now())
        return Seen(None, cache_status.STORED)

    async def get_last(self, upstream: str, name: ProjectName) -> Seen:
        """As `get`; in trouble the last good page stands in however old it is, and known trouble is not waited for."""
        rules = replace(self._rules, stale_if_error=timedelta.max)
        return await self._get(PageKey(upstream, name), rules, self._patience._replace(in_trouble=0))

    def is_absent(self, key: PageKey, now: datetime) -> bool:
        """Whether the upstream said a moment ago that it has no such project."""
        return self._cached.is_absent(key, self._rules.negative_ttl, now)

    @property
    def changes(self) -> int:
        """Grows whenever a page becomes another, or may be judged by other rules."""
        return self._cached.changes

    def find_fresh(self, key: PageKey, page: CachedPage, now: datetime) -> Fresh | None:
        """How fresh `page` is, where it would be served now; None where another would, or somebody had to be asked."""
        if self._cached.held(key) is not page:
            return None
        plan = before_request(page.entry, self._rules, now)
        return plan if isinstance(plan, Fresh) else None

    async def learn(self, upstream: str, name: ProjectName, wheel: Sha256, metadata: Sha256) -> None:
        """Note what a wheel's core metadata is, and show it on the page from now on."""
        await self._cached.learn(PageKey(upstream, name), wheel, metadata)

    def configure(self, rules: CacheRules) -> None:
        """Go by other rules, and perhaps other clients, from now on: pages stay, the rest is asked for again."""
        self._rules = rules
        self._troubles = Troubles()
        self._cached.forget_absent()

    async def close(self) -> None:
        await self._flights.close()
        await self._heads.close()
        await self._cached.close()

    async def _get(self, key: PageKey, rules: CacheRules, patience: Patience) -> Seen:
        if self._cached.is_absent(key, rules.negative_ttl, self._clock.now()):
            return Seen(None, cache_status.ABSENT)
        page = await self._cached.find(key)
        now = self._clock.now()  # an answer that came meanwhile is not from the future
        plan, pause = self._plan(key, page, rules, now)
        if not (isinstance(plan, Fresh) or self._neighbours.alone):
            page = await self._cached.catch_up(key, page)
            now = self._clock.now()
            plan, pause = self._plan(key, page, rules, now)
        if page is None and self._cached.is_absent(key, rules.negative_ttl, now):
            return Seen(None, cache_status.ABSENT)
        match plan:
            case Fresh(_, ttl):
                return Seen(page, cache_status.fresh(ttl))
            case Stale():
                return self._stale(page, "stale-if-error")
            case Unavailable(why):
                raise UpstreamTrouble(why, retry_after=pause and pause.left(now).total_seconds())
            case Revalidate(_, serve_meanwhile=True):
                self._start(key, page)
                return self._stale(page, "stale-while-revalidate")
            case Revalidate() | Fetch():
                return await self._ask(key, page, rules, patience)
        assert_never(plan)

    def _plan(
        self, key: PageKey, page: CachedPage | None, rules: CacheRules, now: datetime
    ) -> tuple[Plan, Trouble | None]:
        """What to do for a page, and the trouble because of which its upstream is left alone."""
        pause = self._troubles.find_pause(key, now) if page else None  # a name never seen is always worth asking for
        return before_request(page.entry if page else None, rules, now, trouble=pause and pause.why), pause

    async def _ask(self, key: PageKey, page: CachedPage | None, rules: CacheRules, patience: Patience) -> Seen:
        """What the upstream says, in time where there is a page that may stand in; raises UpstreamTrouble."""
        flight = self._start(key, page)
        if page is None or not usable_on_error(page.entry, rules, self._clock.now()):
            return await asyncio.shield(flight)
        seconds = patience.in_trouble if self._troubles.expected(key) else patience.calm
        await asyncio.wait({flight}, timeout=seconds)
        try:
            if flight.done():
                return flight.result()
            self._troubles.note_slow(key, self._clock.now())  # the flight goes on
        except UpstreamTrouble:
            pass
        return self._stale(page, "stale-if-error")

    def _start(self, key: PageKey, page: CachedPage | None) -> asyncio.Task[Seen]:
        return self._flights.start(key, lambda: self._refresh(key, page))

    async def _has_page(self, key: PageKey) -> bool | None:
        with self._heeding(key):
            return await self._upstreams[key.upstream].has_page(key.name)

    async def _refresh(self, key: PageKey, page: CachedPage | None) -> Seen:
        """Ask the upstream and keep what it says; raises UpstreamTrouble, and remembers it."""
        with self._heeding(key):
            if self._neighbours.alone:
                return await self._fetch(key, page)
            return await self._fetch_once(key, page)

    async def _fetch_once(self, key: PageKey, page: CachedPage | None) -> Seen:
        """As `_fetch`, or what a neighbour who asks the same brings; raises UpstreamTrouble."""
        began, claim = self._clock.now(), f"page {key.upstream} {key.name}"
        waited = await wait_for_claim(self._neighbours, claim)
        try:
            known = await self._cached.catch_up(key, page)
            if heard := self._heard(key, page, known, began):
                return heard
            if waited is None or waited > ENOUGH:
                raise UpstreamTrouble(f"the upstream {key.upstream} did not send the page of {key.name}")
            seen = await self._fetch(key, known)
            await self._cached.settle(key)  # where the next who has the claim finds it
            return seen
        finally:
            if waited is not None:
                self._neighbours.let_go(claim)

    def _heard(self, key: PageKey, page: CachedPage | None, known: CachedPage | None, began: datetime) -> Seen | None:
        """What a neighbour was told of `page`, after one `began` to wait for it or so that it is still fresh."""
        now = self._clock.now()
        if known is None:
            absent = self._cached.is_absent(key, max(self._rules.negative_ttl, now - began), now)
            return Seen(None, cache_status.STORED) if absent else None
        if known is page or not (
            known.entry.checked_at >= began or isinstance(before_request(known.entry, self._rules, now), Fresh)
        ):
            return None
        if page is None:
            return Seen(known, cache_status.STORED)
        return Seen(known, cache_status.revalidated(stored=known.revision != page.revision))

    @contextmanager
    def _heeding(self, key: PageKey) -> Iterator[None]:
        """Around a question to the upstream: remember its trouble, or that it answered."""
        try:
            yield
        except UpstreamTrouble as error:
            logger.warning("%s", error)
            self._troubles.note(key, error, self._clock.now())
            raise
        self._troubles.end(key)

    async def _fetch(self, key: PageKey, page: CachedPage | None) -> Seen:
        upstream = self._upstreams[key.upstream]
        entry = page.entry if page and page.entry.links == upstream.links else None
        answer = await upstream.fetch_page(key.name, entry.validators if entry else None)
        now = self._clock.now()
        match answer:
            case FetchedPage(detail, validators, serial):
                if entry and is_old_copy(entry, serial, self._rules, now):
                    raise UpstreamBroken(f"the upstream {key.upstream} sent an old copy of the page of {key.name}")
                new = PageEntry(key.upstream, detail, validators, now, upstream.links, serial)
                status = cache_status.revalidated(stored=True) if page else cache_status.STORED
                return Seen(await self._cached.keep(key, new), status)
            case NotModified():
                assert page is not None  # noqa: S101  (the adapter says so only where validators were sent)
                return Seen(await self._cached.confirm(key, page, now), cache_status.revalidated(stored=False))
            case Absent():
                await self._cached.forget(key, now)
                return Seen(None, cache_status.STORED)
        assert_never(answer)

    def _stale(self, page: CachedPage | None, why: str) -> Seen:
        assert page is not None  # noqa: S101  (only a page at hand is ever planned to be served stale)
        return Seen(page, cache_status.stale(age_beyond(page.entry, self._rules, self._clock.now()), why))
