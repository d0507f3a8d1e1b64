"""Connections to one upstream: each hop is one that the config allows, and bodies end as they should.

Redirects are followed by hand, so that each hop is checked like a link and credentials reach the upstream's own origin
alone. Pages and files have connection pools of their own: a page never queues behind downloads.
"""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from proxy import __version__
from proxy.core.errors import UpstreamBroken, UpstreamTrouble
from proxy.core.reach import Reach

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from proxy.core.registry import Upstream

MAX_REDIRECTS = 5
_READ_BUFFER = 256 * 1024


class Wire:
    """The pools `pages` and `files` live until `close`."""

    def __init__(self, settings: Upstream) -> None:
        self.reach = Reach.of(settings)
        self.pages = _session(settings)
        self.files = _session(settings)
        self._name = settings.name
        self._origin = URL(settings.url).origin()
        self._credentials = _credentials(settings)

    async def close(self) -> None:
        await self.pages.close()
        await self.files.close()

    @asynccontextmanager
    async def ask(
        self, session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str], method: str = "GET"
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer at the end of the redirects; raises UpstreamTrouble. Whoever asks bounds the time."""
        for _ in range(MAX_REDIRECTS + 1):
            if not self._may_ask(url):
                raise UpstreamBroken(f"the upstream {self._name} leads to a host that is not in its file_hosts")
            async with self._request(session, method, url, headers) as response:
                if response.status not in {301, 302, 303, 307, 308}:
                    yield response
                    return
                url = self._next_hop(response)
        raise UpstreamBroken(f"the upstream {self._name} redirects without end")

    async def read(self, response: aiohttp.ClientResponse, limit: int, what: str) -> bytearray:
        """The decoded body, never more than `limit` bytes of it in memory; raises UpstreamTrouble."""
        body = bytearray()
        async for chunk in self.chunks(response, UpstreamBroken):
            body += chunk
            if len(body) > limit:
                raise UpstreamBroken(f"the upstream {self._name} sent {what} without end")
        return body

    async def chunks(
        self, response: aiohttp.ClientResponse, cut_off: type[UpstreamTrouble]
    ) -> AsyncGenerator[bytes, None]:
        """The body; raises `cut_off` where it ends early (a file's may be taken up again, a page's may not)."""
        try:
            async for chunk in response.content.iter_any():
                yield chunk
        except (aiohttp.ClientPayloadError, aiohttp.ContentTypeError) as error:
            raise cut_off(f"the upstream {self._name} broke off its answer") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UpstreamTrouble(f"the upstream {self._name} stopped sending") from error

    def _may_ask(self, url: URL) -> bool:
        try:
            return self.reach.allows(url)
        except ValueError:  # a port that no host has
            return False

    def _next_hop(self, response: aiohttp.ClientResponse) -> URL:
        try:
            location = URL(response.headers.get("Location", ""), encoded=True)
            if not location.raw_path_qs and not location.host:  # joined, it would lead here again
                raise UpstreamBroken(f"the upstream {self._name} redirects to nowhere")
            return response.url.join(location)
        except ValueError as error:
            raise UpstreamBroken(f"the upstream {self._name} redirects to what is no address") from error

    @asynccontextmanager
    async def _request(
        self, session: aiohttp.ClientSession, method: str, url: URL, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to one request."""
        if url.origin() == self._origin:
            headers = {**headers, **self._credentials}
        try:
            response = await session.request(method, url, headers=headers, allow_redirects=False)
        except aiohttp.ClientResponseError as error:
            raise UpstreamBroken(f"the upstream {self._name} answers in a way that cannot be read") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UpstreamTrouble(f"the upstream {self._name} cannot be reached") from error
        try:
            yield response
        finally:
            response.close() if not response.content.at_eof() else response.release()


def _credentials(settings: Upstream) -> Mapping[str, str]:
    if not settings.username:
        return {}
    return {"Authorization": aiohttp.encode_basic_auth(settings.username, settings.password, "utf-8")}


def _session(settings: Upstream) -> aiohttp.ClientSession:
    tls = ssl.create_default_context(cafile=settings.ca_file) if settings.ca_file else True
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=settings.max_connections, ssl=tls),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=CIMultiDict({"User-Agent": f"pypi-sidecar/{__version__}"}),
        timeout=aiohttp.ClientTimeout(
            total=None,
            sock_connect=settings.connect_timeout.total_seconds(),
            sock_read=settings.read_timeout.total_seconds(),
        ),
        read_bufsize=_READ_BUFFER,
    )
