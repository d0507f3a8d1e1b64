"""How long a client waits for the first byte: pip gives up after 15 s, and says less then than our answer does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from proxy.core.errors import UpstreamTrouble
from proxy.web.site import SITE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BEYOND_PAGE = 1.5
"""Seconds, on top of the longest page timeout (8 s unless the config says otherwise), for what follows on the page."""

_TIMEOUT = web.RequestKey("patience", asyncio.Timeout)


@asynccontextmanager
async def patience(request: web.Request) -> AsyncIterator[None]:
    """Gives the block up (UpstreamTrouble) where no answer has begun in time; what others wait for too goes on."""
    timeouts = (upstream.page_timeout.total_seconds() for upstream in request[SITE].registry.upstreams.values())
    timeout = request[_TIMEOUT] = asyncio.timeout(BEYOND_PAGE + max(timeouts, default=0))
    try:
        async with timeout:
            yield
    except TimeoutError as error:
        if not timeout.expired():
            raise
        raise UpstreamTrouble("the upstream takes too long for now; ask again") from error


def first_byte_is_here(request: web.Request) -> None:
    """From now on the answer may take its time."""
    request[_TIMEOUT].reschedule(None)
