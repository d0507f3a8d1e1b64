"""The whole server in this process, and a client that changes nothing of what it is told to send or gets.

    server = await make_server(forwards_to(index))
    answer = await server.get("/simple/demo/", Accept=JSON)
    assert answer.status == 200
    assert answer.page.files[0].filename == "demo-1.0.tar.gz"

The client follows no redirect, decodes no body, keeps no cookie, and sends no `Accept` or `Accept-Encoding` unasked.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self
from urllib.parse import urljoin

import aiohttp
import msgspec
from aiohttp.test_utils import TestServer
from msgspec import Struct
from yarl import URL

from proxy.compose import compose
from proxy.web.connections import Limits, Runner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from aiohttp import web
    from multidict import CIMultiDictProxy

    from proxy.config import Config
    from proxy.services.meters import Meters
    from tests.fake_index import Controls

    Data: TypeAlias = AsyncIterator[bytes] | BytesIO | bytes | None

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
TEXT = "text/html"
PIP = f"{JSON}, {HTML}; q=0.1, {TEXT}; q=0.01"

PATIENCE = 20.0
"""Seconds for what happens at once on an idle machine."""


class ListedFile(Struct, rename="kebab", frozen=True):
    filename: str
    url: str
    hashes: dict[str, str]
    yanked: bool | str = False
    size: int | None = None
    requires_python: str | None = None
    upload_time: str | None = None
    core_metadata: bool | dict[str, str] = False
    data_dist_info_metadata: bool | dict[str, str] = False
    provenance: str | None = None


class Status(Struct, frozen=True):
    status: str
    reason: str | None = None


class Meta(Struct, rename="kebab", frozen=True):
    api_version: str


class Page(Struct, rename="kebab", frozen=True):
    """A project's page as JSON."""

    meta: Meta
    name: str
    files: tuple[ListedFile, ...]
    versions: tuple[str, ...]
    project_status: Status

    @property
    def filenames(self) -> list[str]:
        return [file.filename for file in self.files]


class _Project(Struct, frozen=True):
    name: str


class _Root(Struct, frozen=True):
    meta: Meta
    projects: tuple[_Project, ...]


@dataclass(frozen=True)
class Answer:
    """A whole answer. `path` is what was asked for, `body` as it came over the wire."""

    path: str
    status: int
    reason: str
    headers: CIMultiDictProxy[str]
    body: bytes = field(repr=False)

    @property
    def page(self) -> Page:
        """The project's page; it must be there, and JSON."""
        assert (self.status, self.headers["Content-Type"]) == (200, JSON), self
        return msgspec.json.decode(self.body, type=Page)

    @property
    def projects(self) -> list[str]:
        """The names of the root index; it must be there, and JSON."""
        assert (self.status, self.headers["Content-Type"]) == (200, JSON), self
        return [project.name for project in msgspec.json.decode(self.body, type=_Root).projects]

    @property
    def told(self) -> dict[str, str]:
        """The body of an error."""
        return msgspec.json.decode(self.body, type=dict[str, str])

    @property
    def message(self) -> str:
        return self.told["message"]

    def link(self, filename: str) -> str:
        """The path of a file that this page lists, without host."""
        (file,) = (file for file in self.page.files if file.filename == filename)
        return urljoin(self.path, file.url)


class Part(NamedTuple):
    """One part of a form; a `filename` makes it a file."""

    name: str
    value: bytes
    filename: str | None = None


class Listener(TestServer):
    """An application on connections as `serve` has them, with or without the warm lane."""

    def __init__(self, app: web.Application, limits: Limits, *, warm: bool = True) -> None:
        super().__init__(app, host="127.0.0.1")
        self._limits = limits
        self._warm = warm

    async def _make_runner(self, **_: Any) -> web.BaseRunner:  # noqa: ANN401 - aiohttp's signature
        return Runner(self.app, self._limits, shutdown_timeout=0.1, warm=self._warm)


class Server:
    """A running server; close it to start another one over the same data directory. `meters` go to `compose`."""

    def __init__(self, config: Config, meters: Meters | None = None, *, warm: bool = True) -> None:
        self._meters = meters
        self._warm = warm
        self.data_dir = config.server.data_dir
        self.config = config
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            composed = await stack.enter_async_context(compose(self.config, self._meters))
            self._server = self._listener(composed.app)
            stack.push_async_callback(self._server.close)
            await self._server.start_server(access_log=None, shutdown_timeout=0.1)
            self._session = await stack.enter_async_context(_client_session())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _listener(self, app: web.Application) -> TestServer:
        return Listener(app, Limits(), warm=self._warm)

    async def close(self) -> None:
        """Stop; harmless when repeated."""
        await self._stack.aclose()

    @property
    def netloc(self) -> str:
        return f"127.0.0.1:{self._server.port}"

    @asynccontextmanager
    async def open(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, data: Data = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The begun answer to a request whose path is sent as it is written here."""
        url = URL(f"http://{self.netloc}{path}", encoded=True)
        async with self._session.request(method, url, headers=headers, data=data, allow_redirects=False) as response:
            yield response

    async def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, data: Data = None) -> Answer:
        """The whole answer; raises aiohttp.ClientError where none comes."""
        async with self.open(method, path, headers, data) as response:
            return Answer(path, response.status, response.reason or "", response.headers, await response.read())

    async def get(self, path: str, **headers: str) -> Answer:
        """GET; an underscore in a header's name is a hyphen."""
        return await self.ask("GET", path, _named(headers))

    async def head(self, path: str, **headers: str) -> Answer:
        return await self.ask("HEAD", path, _named(headers))

    async def post(self, path: str, parts: Sequence[Part], **headers: str) -> Answer:
        """POST a form whose parts are written as they stand here."""
        boundary = "a-line-that-no-part-has"
        body = b"".join(_written(part, boundary) for part in parts) + f"--{boundary}--\r\n".encode()
        content_type = f"multipart/form-data; boundary={boundary}"
        return await self.ask("POST", path, {"Content-Type": content_type, **_named(headers)}, BytesIO(body))

    async def page(self, path: str, **headers: str) -> Page:
        """The page as JSON; it must be there."""
        return (await self.get(path, Accept=JSON, **headers)).page

    async def link(self, page: str, filename: str, **headers: str) -> str:
        """The path of a file that the page lists."""
        return (await self.get(page, Accept=JSON, **headers)).link(filename)

    async def exchange(self, request: bytes) -> bytes:
        """All that the server sends for these bytes until it closes the connection."""
        async with asyncio.timeout(PATIENCE), self._connect() as (reader, writer):
            writer.write(request)
            await writer.drain()
            return await reader.read()

    async def leave_after(self, request: bytes) -> None:
        """Send these bytes and close the connection."""
        async with self._connect() as (_, writer):
            writer.write(request)
            await writer.drain()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        try:
            yield reader, writer
        finally:
            writer.close()


class MakeServer(Protocol):
    """Starts a server with this config; all of one test have one data directory, so one runs at a time."""

    async def __call__(self, toml: str = "", /) -> Server: ...


def forwards_to(index: Controls, name: str = "pypi", **settings: str) -> str:
    """The table of an upstream; `settings` are further keys and their TOML values."""
    keys = {"url": f'"{index.simple_url}"', "file_hosts": f'["{index.files_host}"]'} | settings
    return f"[upstreams.{name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())


def kept_by(data_dir: Path) -> dict[str, int]:
    """How many blobs and parts the directory holds."""
    return {kind: sum(path.is_file() for path in (data_dir / kind).rglob("*")) for kind in ("blobs", "parts")}


async def eventually(holds: Callable[[], bool], *, seconds: float = PATIENCE) -> None:
    """Wait for what no event tells of; raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)


def _client_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=PATIENCE),
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        auto_decompress=False,
    )


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _written(part: Part, boundary: str) -> bytes:
    disposition = f'form-data; name="{part.name}"'
    if part.filename is not None:
        disposition += f'; filename="{part.filename}"'
    return f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + part.value + b"\r\n"
