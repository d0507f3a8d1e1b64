from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

from tests.builders import BuiltFile, build_sdist, build_wheel
from tests.fake_index import pages
from tests.fake_index.catalogue import Catalogue, File, FileFields, ProjectStatus, make_file
from tests.fake_index.dialect import POOR, PYPI, Dialect
from tests.fake_index.exchange import Ask, Host
from tests.fake_index.faults import PATIENCE, Fault
from tests.fake_index.listener import Handler, Listener
from tests.fake_index.log import RequestLog
from tests.fake_index.rules import Rules
from tests.fake_index.site import Site
from tests.fake_index.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from aiohttp import web

F = TypeVar("F", bound=Fault)


class Controls:
    """What a test can do with a fake index and learn from it, from any thread; see the package's docstring.

    `match` is a path or a pattern (`"/simple/*"`, `"*.whl"`), compared with the decoded path without its query.
    """

    def __init__(self, *, poor: bool = False, dialect: Dialect = PYPI) -> None:
        self._catalogue = Catalogue()
        self._rules = Rules()
        self._log = RequestLog()
        self._listeners: dict[Host, Listener] = {"pages": self._listener("pages"), "files": self._listener("files")}
        hosts = pages.Hosts(f"http://{self.pages_host}", f"http://{self.files_host}")
        self._site = Site(self._catalogue, hosts, POOR if poor else dialect)

    @property
    def simple_url(self) -> str:
        """The index URL as pip and uv take it."""
        return f"http://{self.pages_host}/simple/"

    @property
    def pages_host(self) -> str:
        """`127.0.0.1:PORT` of the index itself."""
        return self._listeners["pages"].netloc

    @property
    def files_host(self) -> str:
        """`127.0.0.1:PORT` of the host its file links name."""
        return self._listeners["files"].netloc

    @property
    def dialect(self) -> Dialect:
        return self._site.dialect

    @dialect.setter
    def dialect(self, dialect: Dialect) -> None:
        self._site.dialect = dialect

    def add_wheel(
        self,
        name: str,
        version: str,
        *,
        requires_dist: Iterable[str] = (),
        modules: Mapping[str, str] | None = None,
        tag: str = "py3-none-any",
        size_padding: int = 0,
        **fields: Unpack[FileFields],
    ) -> File:
        """Build a wheel and list it; `requires_python` stands in its metadata and on the page."""
        built = build_wheel(
            name,
            version,
            requires_python=fields.get("requires_python"),
            requires_dist=requires_dist,
            modules=modules,
            tag=tag,
            size_padding=size_padding,
        )
        return self.add_built(name, built, **fields)

    def add_sdist(
        self,
        name: str,
        version: str,
        *,
        requires_dist: Iterable[str] = (),
        modules: Mapping[str, str] | None = None,
        size_padding: int = 0,
        **fields: Unpack[FileFields],
    ) -> File:
        """Build an sdist and list it. Its core metadata is offered only if `core_metadata` says so, as on PyPI."""
        built = build_sdist(
            name,
            version,
            requires_python=fields.get("requires_python"),
            requires_dist=requires_dist,
            modules=modules,
            size_padding=size_padding,
        )
        fields.setdefault("core_metadata", False)
        return self.add_built(name, built, **fields)

    def add_built(self, project: str, built: BuiltFile, **fields: Unpack[FileFields]) -> File:
        return self.add_file(project, built.filename, built.data, metadata=built.metadata, **fields)

    def add_file(
        self,
        project: str,
        filename: str,
        data: bytes,
        *,
        metadata: bytes | None = None,
        **fields: Unpack[FileFields],
    ) -> File:
        """List any bytes under any filename, in place of what had that filename on the project's page."""
        file = make_file(f"http://{self.files_host}", project, filename, data, metadata, fields)
        self._catalogue.add(file)
        return file

    def add_project(self, name: str) -> None:
        """A project without files, unless it is there."""
        self._catalogue.add_project(name)

    def set_status(self, name: str, status: ProjectStatus, reason: str | None = None) -> None:
        """PEP 792: "quarantined" empties the page and hides the project from the list."""
        self._catalogue.set_status(name, status, reason)

    def remove(self, name: str) -> None:
        """From now on the project and its files are 404."""
        self._catalogue.remove(name)

    def remove_file(self, file: File) -> None:
        self._catalogue.remove_file(file)

    def fault(
        self,
        fault: F,
        match: str = "*",
        *,
        method: str | None = None,
        host: Host | None = None,
        times: int | None = None,
    ) -> F:
        """Let the next `times` requests that fit (None: all) meet this fault; returns it.

        Of several that fit, the oldest wins that is not used up. A request can meet one `Rewrite` and one `Delivery`.
        """
        self._rules.add(fault, match, method, host, times)
        return fault

    def clear_faults(self, fault: Fault | None = None) -> None:
        """End this fault, or all; what hangs or waits at its gate goes on."""
        self._rules.clear(fault)

    @property
    def requests(self) -> list[Ask]:
        """What was asked of both hosts, oldest first."""
        return self._log.asked

    def count(self, method: str | None = None, match: str = "*") -> int:
        """How many requests; `method=None` counts all methods."""
        return self._log.count(method, match)

    @property
    def connections(self) -> int:
        """How many connections both hosts have accepted, whether anything was asked over them or not."""
        return self._log.connections

    def bytes_sent(self, match: str = "*") -> int:
        """Bytes of bodies handed to the network, whether the client took them or not."""
        return self._log.bytes_sent(match)

    def abandoned(self, match: str = "*") -> int:
        """How many answers ended because the connection did, by the client's leaving or by `down`."""
        return self._log.abandoned(match)

    def clear_requests(self) -> None:
        """Forget requests, bytes and abandoned answers."""
        self._log.clear()

    def _listener(self, host: Host) -> Listener:
        return Listener(self._handler(host), self._log.record_connection)

    def _handler(self, host: Host) -> Handler:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            ask = Ask(host, request.method, request.path, request.query_string, request.headers)
            self._log.record(ask)
            wire = Wire(request, lambda size: self._log.record_sent(ask.path, size))
            try:
                await self._deliver(ask, wire)
            except (asyncio.CancelledError, ConnectionError):
                self._log.record_abandoned(ask.path)
                raise
            return wire.response

        return handle

    async def _deliver(self, ask: Ask, wire: Wire) -> None:
        rewrite, delivery = self._rules.take(ask)
        harmed = rewrite is not None or delivery.needs_body
        answer = self._site.answer(ask.unconditional() if harmed else ask)
        if rewrite is not None:
            answer = rewrite.rewrite(ask, answer)
        await delivery.deliver(wire, answer)

    async def _up(self) -> None:
        for listener in self._listeners.values():
            await listener.up()

    async def _down(self) -> None:
        for listener in self._listeners.values():
            await listener.down()

    async def _close(self) -> None:
        for listener in self._listeners.values():
            await listener.close()


class FakeIndex(Controls):
    """A fake index in the running event loop: `async with FakeIndex() as index`."""

    async def __aenter__(self) -> Self:
        await self._up()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._close()

    async def up(self) -> None:
        """Listen again, on the same ports."""
        await self._up()

    async def down(self) -> None:
        """Break off every connection and refuse new ones."""
        await self._down()

    async def until(self, predicate: Callable[[], bool], *, seconds: float = PATIENCE) -> None:
        """Wait for something that requests bring about, `lambda: index.count("GET") == 2`; raises TimeoutError."""
        await self._log.changes.until(predicate, seconds)


class ThreadedFakeIndex(Controls):
    """The same on an event loop in a thread of its own: `with ThreadedFakeIndex() as index`."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-index", daemon=True)
        self._thread.start()
        self._call(self._up())
        return self

    def __exit__(self, *exc_info: object) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self._loop.close)
            stack.callback(self._thread.join)
            stack.callback(self._loop.call_soon_threadsafe, self._loop.stop)
            self._call(self._close())

    def up(self) -> None:
        """Listen again, on the same ports."""
        self._call(self._up())

    def down(self) -> None:
        """Break off every connection and refuse new ones."""
        self._call(self._down())

    def until(self, predicate: Callable[[], bool], *, seconds: float = PATIENCE) -> None:
        """Block until something that requests bring about, `lambda: index.count("GET") == 2`; raises TimeoutError."""
        self._log.changes.block_until(predicate, seconds)

    def _call(self, work: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)
