"""The whole, put together: `async with compose(config) as app` opens everything, and closes it in reverse order."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from yarl import URL

from proxy.core.access import Principal
from proxy.core.errors import StorageTrouble
from proxy.core.hosts import is_loopback
from proxy.disk import hold_data_dir, open_blob_store
from proxy.services.downloads import Downloads
from proxy.services.files import Files
from proxy.services.listings import Listings
from proxy.services.pages import Pages
from proxy.services.publish import Publisher
from proxy.services.tokens import Token, Tokens
from proxy.services.upstream_pages import UpstreamPages
from proxy.services.wheel_metadata import WheelMetadata
from proxy.sqlite.store import FILENAME, open_store
from proxy.upstream import HttpUpstream
from proxy.web.app import build_app
from proxy.web.site import AccessRules, Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from aiohttp import web

    from proxy.config import Config, ConfigToken
    from proxy.ports import MetadataStore


class SystemClock:
    """Fills `ports.Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@asynccontextmanager
async def compose(config: Config) -> AsyncIterator[web.Application]:
    """The application over the config's data directory; raises StorageTrouble where that cannot be had."""
    async with AsyncExitStack() as stack:
        stack.enter_context(hold_data_dir(config.server.data_dir))
        site = await _build_site(config, stack)
        await site.blobs.sweep(datetime.now(UTC))  # the directory is ours: every part in it is a leftover
        yield build_app(site, access_log=config.log.access)


@asynccontextmanager
async def compose_store(config: Config) -> AsyncIterator[MetadataStore]:
    """The rows alone, beside a running server or without one; raises StorageTrouble."""
    database = config.server.data_dir / FILENAME
    if not database.exists():
        raise StorageTrouble(
            f"there is no data in {config.server.data_dir}; name another --data-dir or start a server"
        )
    async with open_store(database) as store:
        yield store


async def _build_site(config: Config, stack: AsyncExitStack) -> Site:
    clock, registry = SystemClock(), config.registry
    store = await stack.enter_async_context(open_store(config.server.data_dir / FILENAME))
    blobs = await stack.enter_async_context(open_blob_store(config.server.data_dir))
    upstreams = [await stack.enter_async_context(HttpUpstream(u)) for u in registry.upstreams.values()]
    upstream_pages = UpstreamPages(upstreams, store, config.cache.rules, clock)
    stack.push_async_callback(upstream_pages.close)
    wheel_metadata = WheelMetadata(upstreams, upstream_pages, blobs, store, clock)
    stack.push_async_callback(wheel_metadata.close)
    downloads = Downloads(upstreams, blobs, store, clock, on_cached=wheel_metadata.read_aside)
    stack.push_async_callback(downloads.close)
    listings = Listings(registry, store, upstream_pages)
    pages = Pages(listings, clock)
    stack.push_async_callback(pages.close)
    return Site(
        registry=registry,
        default_group=config.server.default_group,
        default_project=config.server.default_project,
        external_url=config.server.external_url,
        access=_access_rules(config),
        tokens=Tokens(_tokens(config.tokens)),
        pages=pages,
        files=Files(listings, downloads, wheel_metadata, blobs, store, upstreams, clock),
        publisher=Publisher(registry, store, blobs, clock, config.server.max_upload_size),
        store=store,
        blobs=blobs,
    )


def _access_rules(config: Config) -> AccessRules:
    """Unset `anonymous` opens the server to this machine while nothing points to anybody else (contract section 3)."""
    server = config.server
    open_to_this_machine = (
        is_loopback(server.host) and not server.external_url and not server.trusted_proxies and not config.tokens
    )
    named = {server.host, URL(server.external_url).host or ""} if config.access.anonymous else set()
    return AccessRules(config.access.anonymous, open_to_this_machine, frozenset(named))


def _tokens(tokens: Iterable[ConfigToken]) -> Iterable[Token]:
    for token in tokens:
        principal = Principal(token.kind, token.name, token.username, token.scopes, token.access)
        yield Token(principal, token.sha256, token.expires)
