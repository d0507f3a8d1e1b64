"""An upstream as the services ask it: answers come in time, and what may pass is tried again."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple, Self

from yarl import URL

from proxy.core.errors import Offline, UpstreamBroken, UpstreamTrouble
from proxy.ports import Absent, Body, NotModified, PageAnswer
from proxy.upstream.answers import (
    NO_HEAD,
    Denial,
    check_file,
    check_head,
    check_page_status,
    check_rest,
    check_status,
    is_json_object,
    parse_page,
)
from proxy.upstream.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
    from types import TracebackType

    import aiohttp

    from proxy.core.model import Validators
    from proxy.core.names import ProjectName
    from proxy.core.ranges import ByteRange
    from proxy.core.registry import Upstream

MAX_PAGE = 128 * 1024 * 1024
"""Bytes of a decoded page; PyPI's largest has 21 MB."""
MAX_PROVENANCE = 8 * 1024 * 1024
RETRY_AFTER = 0.2
"""Seconds before the one retry of a page that failed on the way."""
PAUSES = (0.2, 0.8)
"""Seconds before a file is asked for again that could not be had: what a restart behind the upstream's name takes."""
MAX_RETRY_AFTER = 2.0
"""Seconds; an upstream that wants to be left alone for longer is not asked again for the same client."""

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_ACCEPT_PROVENANCE = "application/vnd.pypi.integrity.v1+json, application/json;q=0.5"
_AS_IT_IS = {"Accept-Encoding": "identity"}


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
        self._wire = Wire(settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._wire.close()

    @property
    def settings(self) -> Upstream:
        return self._settings

    @property
    def name(self) -> str:
        return self._settings.name

    @property
    def links(self) -> str:
        return self._wire.reach.text

    async def fetch_page(self, name: ProjectName, validators: Validators | None) -> PageAnswer:
        """The page of a project; raises UpstreamTrouble, within the page timeout in all."""
        async with self._in_time(f"the page of {name}"):
            return await self._fetch_page_patiently(name, validators)

    async def has_page(self, name: ProjectName) -> bool | None:
        """As the port says; raises UpstreamTrouble, within the page timeout in all."""
        url, headers = str(self._base / name / ""), {"Accept": _ACCEPT}
        statuses = (200, 404, *NO_HEAD)
        ask = _Ask(
            self._wire.pages,
            url,
            headers,
            lambda answer: check_page_status(answer, self.name, name, *statuses),
            "HEAD",
        )
        async with self._opened(ask, f"the page of {name}") as response:
            return None if response.status in NO_HEAD else response.status == 200

    async def fetch_size(self, url: str) -> int | None:
        """A file's size by HEAD, None also where that is not allowed; raises NotFound, UpstreamTrouble."""
        ask = _Ask(self._wire.files, url, _AS_IT_IS, lambda answer: check_head(answer, self.name), "HEAD")
        async with self._opened(ask) as response:
            return response.content_length if response.status == 200 else None

    async def fetch_provenance(self, url: str) -> bytes:
        """A provenance object, at most MAX_PROVENANCE bytes; raises NotFound, UpstreamTrouble."""
        headers, what = {"Accept": _ACCEPT_PROVENANCE}, "a provenance object"
        ask = _Ask(self._wire.pages, url, headers, lambda answer: check_status(answer, self.name, 200))
        async with self._in_time(what), self._opened(ask) as response:
            body = await self._wire.read(response, MAX_PROVENANCE, what)
            if not await is_json_object(response, body):
                raise UpstreamBroken(f"the upstream {self.name} sent something else than {what}")
            return bytes(body)

    @asynccontextmanager
    async def open_file(self, url: str, wanted: ByteRange | None = None) -> AsyncIterator[Body]:
        """A file's bytes, or a range of them; raises NotFound, UpstreamTrouble."""
        headers = {**_AS_IT_IS, "Range": f"bytes={wanted.first}-{wanted.last}"} if wanted else _AS_IT_IS
        ask = _Ask(self._wire.files, url, headers, lambda answer: check_file(answer, self.name, wanted))
        async with self._opened(ask) as response, aclosing(self._wire.chunks(response, UpstreamTrouble)) as chunks:
            yield Body(response.content_length, chunks)

    @asynccontextmanager
    async def open_rest(self, url: str, first: int, size: int | None) -> AsyncIterator[Body]:
        """As the port says; of an upstream that sends the whole instead, what is known already is passed over."""
        headers = {**_AS_IT_IS, "Range": f"bytes={first}-"}
        ask = _Ask(self._wire.files, url, headers, lambda answer: check_rest(answer, self.name, first, size))
        async with self._opened(ask) as response:
            passed = first if response.status == 200 else 0
            length = response.content_length
            chunks = _without_start(self._wire.chunks(response, UpstreamTrouble), passed)
            async with aclosing(chunks):
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
    async def _opened(self, ask: _Ask, what: str = "a file") -> AsyncIterator[aiohttp.ClientResponse]:
        """The checked answer. Its head comes within the page timeout, retries included: clients wait no longer."""
        async with AsyncExitStack() as stack:
            async with self._in_time(what):
                response = await self._open_patiently(ask, stack)
            yield response

    async def _open_patiently(self, ask: _Ask, stack: AsyncExitStack) -> aiohttp.ClientResponse:
        """Asked again where that may help; it harms nobody, as a GET and a HEAD change nothing."""
        for pause in PAUSES:
            try:
                return await self._open_once(ask, stack)
            except (UpstreamBroken, Denial):
                raise
            except UpstreamTrouble as error:
                wait = max(pause, error.retry_after or 0)
                if self.offline or wait > MAX_RETRY_AFTER:
                    raise
            await asyncio.sleep(wait)
        return await self._open_once(ask, stack)

    async def _open_once(self, ask: _Ask, stack: AsyncExitStack) -> aiohttp.ClientResponse:
        self._check_online()
        async with AsyncExitStack() as attempt:
            asked = self._wire.ask(ask.session, URL(ask.url, encoded=True), ask.headers, ask.method)
            response = await attempt.enter_async_context(asked)
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
        self._check_online()
        headers = {"Accept": _ACCEPT, **_conditional(validators)}
        async with self._wire.ask(self._wire.pages, self._base / name / "", headers) as response:
            if response.status == 404:
                return Absent()
            if response.status == 304 and _conditional(validators):
                return NotModified()
            check_page_status(response, self.name, name, 200)
            body = await self._wire.read(response, MAX_PAGE, f"a page of {name}")
            page = await parse_page(response, body, name, self._wire.reach)
            return page._replace(size=len(body))

    def _check_online(self) -> None:
        if self.offline:
            raise Offline("this instance is offline and has not seen it")


def _conditional(validators: Validators | None) -> dict[str, str]:
    if validators is None:
        return {}
    pairs = {"If-None-Match": validators.etag, "If-Modified-Since": validators.last_modified}
    return {header: value for header, value in pairs.items() if value}


async def _without_start(chunks: AsyncGenerator[bytes, None], size: int) -> AsyncGenerator[bytes, None]:
    """What comes after the first `size` bytes."""
    async with aclosing(chunks):
        async for chunk in chunks:
            if len(chunk) > size:
                yield chunk[size:]
            size = max(0, size - len(chunk))
