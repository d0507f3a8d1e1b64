"""An upstream index over HTTP: pages with validators, files as streams, no host that the config does not name.

Redirects are followed by hand, so that each hop is checked like a link and credentials reach the upstream's own origin
alone. Pages and files have connection pools of their own: a page never queues behind downloads.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Self

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from proxy import __version__
from proxy.core.errors import NotFound, UpstreamBroken, UpstreamTrouble
from proxy.core.model import Validators
from proxy.core.parse import parse_detail
from proxy.core.reach import Reach
from proxy.core.retry_after import parse_retry_after
from proxy.core.serials import SERIAL_HEADER, parse_serial
from proxy.ports import Absent, Body, FetchedPage, NotModified, PageAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
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
PAUSES = (0.2, 0.8)
"""Seconds before a file is asked for again that could not be had: what a restart behind the upstream's name takes."""
MAX_RETRY_AFTER = 2.0
"""Seconds; an upstream that wants to be left alone for longer is not asked again for the same client."""
_PARSE_INLINE = 32 * 1024
_READ_BUFFER = 256 * 1024

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_ACCEPT_PROVENANCE = "application/vnd.pypi.integrity.v1+json, application/json;q=0.5"
_AS_IT_IS = {"Accept-Encoding": "identity"}
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses by which a server says that the same request may be answered another time."""
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)


class _Denial(UpstreamTrouble):
    """An answer that would be the same another time."""


class _Ask(NamedTuple):
    """A request, and what its answer is checked by before anybody reads it (raises UpstreamTrouble, NotFound)."""

    session: aiohttp.ClientSession
    url: str
    headers: Mapping[str, str]
    check: Callable[[aiohttp.ClientResponse], None]
    method: str = "GET"


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
        ask = _Ask(self._files, url, _AS_IT_IS, lambda response: self._check_file(response, None), "HEAD")
        async with self._opened(ask) as response:
            return response.content_length

    async def fetch_provenance(self, url: str) -> bytes:
        """A provenance object, at most MAX_PROVENANCE bytes; raises NotFound, UpstreamTrouble."""
        headers, what = {"Accept": _ACCEPT_PROVENANCE}, "a provenance object"
        ask = _Ask(self._pages, url, headers, lambda response: self._check_status(response, 200))
        async with self._in_time(what), self._opened(ask) as response:
            body = await self._read_whole(response, MAX_PROVENANCE, what)
            if not response.content_type.endswith(("/json", "+json")) or not await _is_json_object(body):
                raise UpstreamBroken(f"the upstream {self.name} sent something else than {what}")
            return body

    @asynccontextmanager
    async def open_file(self, url: str, wanted: ByteRange | None = None) -> AsyncIterator[Body]:
        """A file's bytes, or a range of them; raises NotFound, UpstreamTrouble."""
        headers = {**_AS_IT_IS, "Range": f"bytes={wanted.first}-{wanted.last}"} if wanted else _AS_IT_IS
        ask = _Ask(self._files, url, headers, lambda response: self._check_file(response, wanted))
        async with self._opened(ask) as response, aclosing(self._chunks(response, UpstreamTrouble)) as chunks:
            yield Body(response.content_length, chunks)

    @asynccontextmanager
    async def open_rest(self, url: str, first: int, size: int | None) -> AsyncIterator[Body]:
        """As the port says; of an upstream that sends the whole instead, what is known already is passed over."""
        headers = {**_AS_IT_IS, "Range": f"bytes={first}-"}
        ask = _Ask(self._files, url, headers, lambda response: self._check_rest(response, first, size))
        async with self._opened(ask) as response:
            passed = first if response.status == 200 else 0
            length = response.content_length
            async with aclosing(_without_start(self._chunks(response, UpstreamTrouble), passed)) as chunks:
                yield Body(None if length is None else length - passed, chunks)

    @asynccontextmanager
    async def _in_time(self, what: str) -> AsyncIterator[None]:
        """Gives the block up after the page timeout (UpstreamTrouble)."""
        try:
            async with asyncio.timeout(self._settings.page_timeout.total_seconds()):
                yield
        except TimeoutError as error:
            raise UpstreamTrouble(f"the upstream {self.name} did not send {what} in time") from error

    @asynccontextmanager
    async def _opened(self, ask: _Ask) -> AsyncIterator[aiohttp.ClientResponse]:
        """The checked answer. Its head comes within the page timeout, retries included: clients wait no longer."""
        async with AsyncExitStack() as stack:
            async with self._in_time("a file"):
                response = await self._open_patiently(ask, stack)
            yield response

    async def _open_patiently(self, ask: _Ask, stack: AsyncExitStack) -> aiohttp.ClientResponse:
        """Asked again where that may help; it harms nobody, as a GET and a HEAD change nothing."""
        for pause in PAUSES:
            try:
                return await self._open_once(ask, stack)
            except (UpstreamBroken, _Denial):
                raise
            except UpstreamTrouble as error:
                wait = max(pause, error.retry_after or 0)
                if self.offline or wait > MAX_RETRY_AFTER:
                    raise
            await asyncio.sleep(wait)
        return await self._open_once(ask, stack)

    async def _open_once(self, ask: _Ask, stack: AsyncExitStack) -> aiohttp.ClientResponse:
        async with AsyncExitStack() as attempt:
            answer = self._get(ask.session, URL(ask.url, encoded=True), ask.headers, ask.method)
            response = await attempt.enter_async_context(answer)
            ask.check(response)
            stack.push_async_exit(attempt.pop_all())
            return response

    async def _fetch_page_patiently(self, name: ProjectName, validators: Validators | None) -> PageAnswer:
        """One retry where nothing is at hand to serve meanwhile, and asking again soon may help."""
        try:
            return await self._fetch_page_once(name, validators)
        except UpstreamBroken:
            raise
        except UpstreamTrouble as error:
            pause = RETRY_AFTER if error.retry_after is None else error.retry_after
            if validators is not None or self.offline or pause > MAX_RETRY_AFTER:
                raise
            await asyncio.sleep(max(pause, RETRY_AFTER))
            return await self._fetch_page_once(name, validators)

    async def _fetch_page_once(self, name: ProjectName, validators: Validators | None) -> PageAnswer:
        headers = {"Accept": _ACCEPT, **_conditional(validators)}
        async with self._get(self._pages, self._base / name / "", headers) as response:
            if response.status == 404:
                return Absent()
            if response.status == 304 and _conditional(validators):
                return NotModified()
            if response.status != 200:
                message = f"the upstream {self.name} answered {response.status} for {name}"
                raise UpstreamTrouble(message, retry_after=_retry_after(response))
            body = await self._read_whole(response, MAX_PAGE, f"a page of {name}")
            return await self._parse_page(response, body, name)

    async def _read_whole(self, response: aiohttp.ClientResponse, limit: int, what: str) -> bytes:
        """The decoded body, never more than `limit` bytes of it in memory."""
        body = bytearray()
        async for chunk in self._chunks(response, UpstreamBroken):
            body += chunk
            if len(body) > limit:
                raise UpstreamBroken(f"the upstream {self.name} sent {what} without end")
        return bytes(body)

    async def _parse_page(self, response: aiohttp.ClientResponse, body: bytes, name: ProjectName) -> FetchedPage:
        def parse() -> FetchedPage:
            content_type = response.headers.get("Content-Type", "")
            detail = parse_detail(body, content_type, url=str(response.url), name=name, may_link=self._reach.allows)
            serial = parse_serial(response.headers.get(SERIAL_HEADER), body, content_type)
            return FetchedPage(detail, _validators(response.headers), serial)

        return parse() if len(body) <= _PARSE_INLINE else await asyncio.to_thread(parse)

    def _check_file(self, response: aiohttp.ClientResponse, wanted: ByteRange | None) -> None:
        if wanted is not None and response.status == 200:
            raise UpstreamBroken(f"the upstream {self.name} sends no ranges")
        self._check_status(response, 200 if wanted is None else 206)
        self._check_not_encoded(response)
        if wanted is not None and _content_range(response)[:2] != wanted:
            raise UpstreamBroken(f"the upstream {self.name} sent another range than asked for")

    def _check_rest(self, response: aiohttp.ClientResponse, first: int, size: int | None) -> None:
        """The answer holds the file to its end, from `first` or from the start; its size is the known one."""
        if response.status == 416:
            raise UpstreamBroken(f"the upstream {self.name} has another file by now")
        self._check_status(response, 206 if response.status == 206 else 200)
        self._check_not_encoded(response)
        if response.status == 206:
            began, last, total = _content_range(response)
            if began != first or (total is not None and total != last + 1):
                raise UpstreamBroken(f"the upstream {self.name} sent another range than asked for")
            told: int | None = last + 1
        else:
            told = response.content_length
        if size is not None and told is not None and told != size:
            raise UpstreamBroken(f"the upstream {self.name} has another file by now")

    def _check_not_encoded(self, response: aiohttp.ClientResponse) -> None:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise UpstreamBroken(f"the upstream {self.name} sent a file encoded")

    def _check_status(self, response: aiohttp.ClientResponse, expected: int) -> None:
        if response.status in {404, 410}:
            raise NotFound("404 Not Found")
        if response.status == expected:
            return
        trouble = UpstreamTrouble if response.status in _PASSING else _Denial
        message = f"the upstream {self.name} answered {response.status} for a file"
        raise trouble(message, retry_after=_retry_after(response))

    async def _chunks(
        self, response: aiohttp.ClientResponse, cut_off: type[UpstreamTrouble]
    ) -> AsyncGenerator[bytes, None]:
        """The body; raises `cut_off` where it ends early (a file's may be taken up again, a page's may not)."""
        try:
            async for chunk in response.content.iter_any():
                yield chunk
        except (aiohttp.ClientPayloadError, aiohttp.ContentTypeError) as error:
            raise cut_off(f"the upstream {self.name} broke off its answer") from error
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
            location = URL(response.headers.get("Location", ""), encoded=True)
            if not location.raw_path_qs and not location.host:  # joined, it would lead here again
                raise UpstreamBroken(f"the upstream {self.name} redirects to nowhere")
            return response.url.join(location)
        except ValueError as error:
            raise UpstreamBroken(f"the upstream {self.name} redirects to what is no address") from error

    @asynccontextmanager
    async def _request(
        self, session: aiohttp.ClientSession, method: str, url: URL, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to one request; whoever asks bounds the time."""
        if url.origin() == self._base.origin():
            headers = {**headers, **self._credentials}
        try:
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


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    return parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))


def _validators(headers: Mapping[str, str]) -> Validators:
    """Only what can be sent back as it came (RFC 9110 section 5.5)."""
    etag, last_modified = headers.get("ETag"), headers.get("Last-Modified")
    return Validators(etag if _sendable(etag) else None, last_modified if _sendable(last_modified) else None)


def _sendable(value: str | None) -> bool:
    return value is not None and value.isascii() and value.isprintable()


def _content_range(response: aiohttp.ClientResponse) -> tuple[int, int, int | None]:
    """First byte, last byte and size of the whole (None: not told) of a 206; (-1, -1, None) for what says nothing."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None:
        return -1, -1, None
    first, last, total = match.groups()
    return int(first), int(last), None if total == "*" else int(total)


async def _without_start(chunks: AsyncGenerator[bytes, None], size: int) -> AsyncGenerator[bytes, None]:
    """What comes after the first `size` bytes."""
    async with aclosing(chunks):
        async for chunk in chunks:
            if len(chunk) > size:
                yield chunk[size:]
            size = max(0, size - len(chunk))


async def _is_json_object(body: bytes) -> bool:
    def parses() -> bool:
        try:
            msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return False
        return True

    return parses() if len(body) <= _PARSE_INLINE else await asyncio.to_thread(parses)
