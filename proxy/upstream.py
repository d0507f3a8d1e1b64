"""An upstream index over HTTP: pages with validators, files as streams, no host that the config does not name.

Redirects are followed by hand, so that each hop is checked like a link and credentials reach the upstream's own origin
alone. Pages and files have connection pools of their own: a page never queues behind downloads.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from proxy import __version__
from proxy.core.errors import NotFound, UpstreamBroken, UpstreamTrouble
from proxy.core.model import Validators
from proxy.core.parse import parse_detail
from proxy.core.reach import Reach
from proxy.ports import Absent, Body, FetchedPage, NotModified, PageAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping
    from types import TracebackType

    from proxy.core.names import ProjectName
    from proxy.core.ranges import ByteRange
    from proxy.core.registry import Upstream

MAX_PAGE = 128 * 1024 * 1024
"""Bytes of a decoded page; PyPI's largest has 21 MB."""
MAX_PROVENANCE = 8 * 1024 * 1024
MAX_REDIRECTS = 5
RETRY_AFTER = 0.2
"""Seconds before the one retry of a page that failed on the way."""
_PARSE_INLINE = 32 * 1024
_READ_BUFFER = 256 * 1024

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


_ACCEPT_PROVENANCE = "application/vnd.pypi.integrity.v1+json, application/json;q=0.5"


class HttpUpstream:
    """Fills `ports.Upstream`. Use as an async context manager. While `offline` is set it asks nobody."""

    def __init__(self, settings: Upstream) -> None:
        self.offline = False
        self._settings = settings
        self._base = URL(settings.url)
        self._reach = Reach.of(settings)
        self._pages = self._session()
        self._files = self._session()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pages.close()
        await self._files.close()

    @property
    def settings(self) -> Upstream:
        return self._settings

    @property
    def name(self) -> str:
        return self._settings.name

    @property
    def links(self) -> str:
        return self._reach.text

    async def fetch_page(self, name: ProjectName, validators: Validators | None) -> PageAnswer:
        """The page of a project; raises UpstreamTrouble, within the page timeout in all."""
        async with self._in_time(f"the page of {name}"):
            return await self._fetch_page_patiently(name, validators)

    async def fetch_size(self, url: str) -> int | None:
        """A file's size by HEAD; raises NotFound, UpstreamTrouble."""
        async with self._get(self._files, URL(url, encoded=True), {"Accept-Encoding": "identity"}, "HEAD") as response:
            self._check_file(response, None)
            return response.content_length

    async def fetch_provenance(self, url: str) -> bytes:
        """A provenance object, at most MAX_PROVENANCE bytes; raises NotFound, UpstreamTrouble."""
        headers, what = {"Accept": _ACCEPT_PROVENANCE}, "a provenance object"
        async with self._in_time(what), self._get(self._pages, URL(url, encoded=True), headers) as response:
            self._check_status(response, 200)
            return await self._read_whole(response, MAX_PROVENANCE, what)

    @asynccontextmanager
    async def open_file(self, url: str, wanted: ByteRange | None = None) -> AsyncIterator[Body]:
        """A file's bytes, or a range of them; raises NotFound, UpstreamTrouble."""
        headers = {"Accept-Encoding": "identity"}
        if wanted is not None:
            headers["Range"] = f"bytes={wanted.first}-{wanted.last}"
        async with self._get(self._files, URL(url, encoded=True), headers) as response:
            self._check_file(response, wanted)
            yield Body(response.content_length, self._chunks(response))

    @asynccontextmanager
    async def _in_time(self, what: str) -> AsyncIterator[None]:
        """Gives the block up after the page timeout (UpstreamTrouble)."""
        try:
            async with asyncio.timeout(self._settings.page_timeout.total_seconds()):
                yield
        except TimeoutError as error:
            raise UpstreamTrouble(f"the upstream {self.name} did not send {what} in time") from error

    async def _fetch_page_patiently(self, name: ProjectName, validators: Validators | None) -> PageAnswer:
        """One retry where nothing is at hand to serve meanwhile and asking again may help."""
        try:
            return await self._fetch_page_once(name, validators)
        except UpstreamBroken:
            raise
        except UpstreamTrouble:
            if validators is not None:
                raise
            await asyncio.sleep(RETRY_AFTER)
            return await self._fetch_page_once(name, validators)

    async def _fetch_page_once(self, name: ProjectName, validators: Validators | None) -> PageAnswer:
        headers = {"Accept": _ACCEPT, **_conditional(validators)}
        async with self._get(self._pages, self._base / name / "", headers) as response:
            if response.status == 404:
                return Absent()
            if response.status == 304 and validators is not None:
                return NotModified()
            if response.status != 200:
                raise UpstreamTrouble(f"the upstream {self.name} answered {response.status} for {name}")
            body = await self._read_whole(response, MAX_PAGE, f"a page of {name}")
            return await self._parse_page(response, body, name)

    async def _read_whole(self, response: aiohttp.ClientResponse, limit: int, what: str) -> bytes:
        """The decoded body, never more than `limit` bytes of it in memory."""
        body = bytearray()
        async for chunk in self._chunks(response):
            body += chunk
            if len(body) > limit:
                raise UpstreamBroken(f"the upstream {self.name} sent {what} without end")
        return bytes(body)

    async def _parse_page(self, response: aiohttp.ClientResponse, body: bytes, name: ProjectName) -> FetchedPage:
        def parse() -> FetchedPage:
            content_type = response.headers.get("Content-Type", "")
            detail = parse_detail(body, content_type, url=str(response.url), name=name, may_link=self._reach.allows)
            return FetchedPage(detail, _validators(response.headers))

        return parse() if len(body) <= _PARSE_INLINE else await asyncio.to_thread(parse)

    def _check_file(self, response: aiohttp.ClientResponse, wanted: ByteRange | None) -> None:
        if wanted is not None and response.status == 200:
            raise UpstreamBroken(f"the upstream {self.name} sends no ranges")
        self._check_status(response, 200 if wanted is None else 206)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise UpstreamBroken(f"the upstream {self.name} sent a file encoded")
        if wanted is not None and not _is_range(response.headers.get("Content-Range", ""), wanted):
            raise UpstreamBroken(f"the upstream {self.name} sent another range than asked for")

    def _check_status(self, response: aiohttp.ClientResponse, expected: int) -> None:
        if response.status in {404, 410}:
            raise NotFound("404 Not Found")
        if response.status != expected:
            raise UpstreamTrouble(f"the upstream {self.name} answered {response.status} for a file")

    async def _chunks(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in response.content.iter_any():
                yield chunk
        except (aiohttp.ClientPayloadError, aiohttp.ContentTypeError) as error:
            raise UpstreamBroken(f"the upstream {self.name} broke off its answer") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UpstreamTrouble(f"the upstream {self.name} stopped sending") from error

    @asynccontextmanager
    async def _get(
        self, session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str], method: str = "GET"
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer at the end of the redirects; each hop is one that the config allows."""
        if self.offline:
            raise UpstreamTrouble("this instance is offline and has not seen it")
        for _ in range(MAX_REDIRECTS + 1):
            if not self._may_ask(url):
                raise UpstreamBroken(f"the upstream {self.name} leads to a host that is not in its file_hosts")
            async with self._request(session, method, url, headers) as response:
                if response.status not in {301, 302, 303, 307, 308}:
                    yield response
                    return
                url = self._next_hop(response)
        raise UpstreamBroken(f"the upstream {self.name} redirects without end")

    def _may_ask(self, url: URL) -> bool:
        try:
            return self._reach.allows(url)
        except ValueError:  # a port that no host has
            return False

    def _next_hop(self, response: aiohttp.ClientResponse) -> URL:
        try:
            return response.url.join(URL(response.headers.get("Location", ""), encoded=True))
        except ValueError as error:
            raise UpstreamBroken(f"the upstream {self.name} redirects to what is no address") from error

    @asynccontextmanager
    async def _request(
        self, session: aiohttp.ClientSession, method: str, url: URL, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to one request. Also a file's begins within the page timeout: clients wait little longer."""
        if url.origin() == self._base.origin():
            headers = {**headers, **self._credentials}
        try:
            async with asyncio.timeout(self._settings.page_timeout.total_seconds()):
                response = await session.request(method, url, headers=headers, allow_redirects=False)
        except aiohttp.ClientResponseError as error:
            raise UpstreamBroken(f"the upstream {self.name} answers in a way that cannot be read") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UpstreamTrouble(f"the upstream {self.name} cannot be reached") from error
        try:
            yield response
        finally:
            response.close() if not response.content.at_eof() else response.release()

    @property
    def _credentials(self) -> dict[str, str]:
        username, password = self._settings.username, self._settings.password
        return {"Authorization": aiohttp.encode_basic_auth(username, password, "utf-8")} if username else {}

    def _session(self) -> aiohttp.ClientSession:
        settings = self._settings
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


def _conditional(validators: Validators | None) -> dict[str, str]:
    if validators is None:
        return {}
    pairs = {"If-None-Match": validators.etag, "If-Modified-Since": validators.last_modified}
    return {header: value for header, value in pairs.items() if value}


def _validators(headers: Mapping[str, str]) -> Validators:
    """Only what can be sent back as it came (RFC 9110 section 5.5)."""
    etag, last_modified = headers.get("ETag"), headers.get("Last-Modified")
    return Validators(etag if _sendable(etag) else None, last_modified if _sendable(last_modified) else None)


def _sendable(value: str | None) -> bool:
    return value is not None and value.isascii() and value.isprintable()


def _is_range(content_range: str, wanted: ByteRange) -> bool:
    return content_range.startswith(f"bytes {wanted.first}-{wanted.last}/")
