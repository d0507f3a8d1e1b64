"""Simple pages as bytes: a listing is rendered once for each representation, and kept with its ETag."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cachetools import LRUCache

from proxy.core import cache_status
from proxy.core.compress import compress
from proxy.core.digests import sha256_of
from proxy.core.model import ProjectList
from proxy.core.policy import policy_time
from proxy.core.render import render_detail, render_list
from proxy.services.coalesce import Coalescer
from proxy.services.listings import Elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import datetime

    from proxy.core.access import Principal
    from proxy.core.cache_status import CacheStatus
    from proxy.core.names import ProjectName
    from proxy.core.negotiate import Encoding, Representation
    from proxy.core.policy import Scope
    from proxy.ports import Clock
    from proxy.services.grounds import Grounds
    from proxy.services.listings import Listing, Listings

MAX_RENDERED = 40 * 1024 * 1024
"""Bytes of rendered pages held in memory; PyPI's largest has 19 MB in JSON."""
RENDER_INLINE = 100
"""Listings of at most so many files are rendered on the loop: a thread would cost more."""


class Form(NamedTuple):
    """The form of a page that a client asked for.

    `url` is the page's own absolute address where links to provenance need it (PEP 740), else empty.
    """

    representation: Representation
    encoding: Encoding
    url: str = ""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Rendered:
    """A page's bytes in one form. `etag` is strong, quoted, and the same wherever these bytes are made."""

    body: bytes
    etag: str


class PageAnswer(NamedTuple):
    """`grounds` tell as long as they stand that the same caller would get the same page."""

    rendered: Rendered
    cache_status: CacheStatus
    grounds: Grounds


class Pages:
    def __init__(self, listings: Listings, clock: Clock) -> None:
        self._listings = listings
        self._clock = clock
        self._rendered: LRUCache[Hashable, Rendered] = LRUCache(MAX_RENDERED, getsizeof=lambda page: len(page.body))
        self._flights: Coalescer[Hashable, Rendered] = Coalescer()

    async def detail(
        self, caller: Principal, scope: Scope, name: ProjectName, form: Form, *, fetches: bool = True
    ) -> PageAnswer | Elsewhere:
        """The page of `name`; raises what `Listings.get` raises."""
        listing = await self._listings.get(caller, scope, name, fetches=fetches)
        if isinstance(listing, Elsewhere):
            return listing
        now = policy_time(self._clock.now())

        def render() -> bytes:
            return render_detail(
                listing.detail(now),
                form.representation,
                upstream_urls=listing.keeps_upstream_urls,
                base_url=form.url,
            )

        rendered = await self._render(_content_key(listing, now), form, render, large=_count(listing) > RENDER_INLINE)
        return PageAnswer(rendered, listing.cache_status, listing.judged_at(now))

    async def root(self, caller: Principal, scope: Scope, form: Form) -> PageAnswer:
        """The list of local projects; raises Refused."""
        names, grounds = await self._listings.names(caller, scope)

        def render() -> bytes:
            return render_list(ProjectList(names), form.representation)

        rendered = await self._render(names, form, render, large=len(names) > RENDER_INLINE)
        return PageAnswer(rendered, cache_status.LOCAL, grounds)

    async def _render(self, content: Hashable, form: Form, render: Callable[[], bytes], *, large: bool) -> Rendered:
        """The page from memory, or made: once for all who wait for it, and aside where it takes long."""
        key = (content, form)
        rendered = self._rendered.get(key)
        if rendered is None and large:
            return await self._flights.run(key, lambda: self._render_aside(key, render))
        if rendered is None:
            rendered = self._keep(key, _made(render, form))
        return rendered

    async def _render_aside(self, key: tuple[Hashable, Form], render: Callable[[], bytes]) -> Rendered:
        return self._keep(key, await asyncio.to_thread(_made, render, key[1]))

    def _keep(self, key: Hashable, rendered: Rendered) -> Rendered:
        if len(rendered.body) <= MAX_RENDERED // 2:
            self._rendered[key] = rendered
        return rendered


def _made(render: Callable[[], bytes], form: Form) -> Rendered:
    """Entity tags differ between representations and codings, also where their bytes agree (RFC 9110 section 8.8.3.3).

    They do not depend on the compressor's version.
    """
    body = render()
    tag = f"{sha256_of(body)[:32]}-{form.representation.name.lower()}-{form.encoding.token}"
    return Rendered(compress(body, form.encoding), f'"{tag}"')


def _count(listing: Listing) -> int:
    forwarded = listing.forwarded
    return len(listing.local) + (len(forwarded.page.entry.detail.files) if forwarded else 0)


def _content_key(listing: Listing, now: datetime) -> Hashable:
    """Equal keys mean equal pages."""
    local = tuple((file.id, file.yanked) for file in listing.local)
    if listing.forwarded is None:
        return (listing.name, local, listing.local_status)
    page, rules = listing.forwarded
    minute = now if rules.group.min_age else None
    return (listing.name, local, listing.local_status, page.revision, rules.group.path, minute)
