"""Upstreams that are slow, broken, hostile or down: an error of the tree, in bounded time and memory, and no leak."""

from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import SidecarError, UpstreamBroken, UpstreamTrouble
from proxy.core.model import Validators
from proxy.core.ranges import ByteRange
from proxy.core.registry import Upstream
from proxy.upstream import client
from tests.fake_index import (
    BrokenGzip,
    Drip,
    Endless,
    FakeIndex,
    Gate,
    GzipBomb,
    Hang,
    HtmlError,
    InvalidJson,
    RedirectLoop,
    Refuse,
    Status,
    Truncated,
    WrongBytes,
    WrongType,
)
from tests.upstream.asking import DEMO, JSON, PAGE, Connect, kind, page_of, read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.upstream import HttpUpstream
    from tests import fake_index

SOON = timedelta(seconds=0.4)
KNOWN = Validators('"1"')


pytestmark = pytest.mark.usefixtures("demo")


@pytest.fixture
def demo(index: FakeIndex) -> fake_index.File:
    return index.add_wheel("demo", "1.0", size_padding=50_000, provenance=b'{"version": 1}')


@pytest.fixture
async def hasty(connect: Connect, settings: Upstream) -> HttpUpstream:
    """It waits less than a second for anything."""
    return await connect(replace(settings, page_timeout=SOON, read_timeout=SOON, connect_timeout=SOON))


class TestBrokenPages:
    @pytest.mark.parametrize(
        "fault",
        [
            WrongType(),
            WrongType("text/plain"),
            WrongType("application/json"),
            WrongType("application/vnd.pypi.simple.v2+json"),
            WrongType(""),
            HtmlError(),
            HtmlError(b""),
            InvalidJson(),
            InvalidJson(b""),
            InvalidJson(b"[]"),
            InvalidJson(b'{"meta": {"api-version": "2.0"}, "name": "demo", "files": []}'),
            InvalidJson(b'{"meta": {"api-version": "1.0"}, "name": "six", "files": []}'),
            BrokenGzip(),
            Truncated(),
            Truncated(after=0),
            Truncated(chunked=True),
            Status(200, {"Content-Type": JSON, "Content-Encoding": "zstd"}, b"no zstd"),
            Status(200, {"Content-Type": JSON, "Content-Encoding": "br"}, b"no brotli"),
        ],
        ids=kind,
    )
    async def test_they_are_no_pages_and_not_asked_for_again(
        self, index: FakeIndex, upstream: HttpUpstream, fault: fake_index.Fault
    ) -> None:
        index.fault(fault, PAGE)
        with pytest.raises(UpstreamBroken):
            await upstream.fetch_page(DEMO, None)
        assert index.count() == 1
        index.clear_faults()
        assert len((await page_of(upstream)).detail.files) == 1

    async def test_wrong_bytes_are_read_as_far_as_they_make_sense(
        self, index: FakeIndex, upstream: HttpUpstream
    ) -> None:
        index.dialect = replace(index.dialect, gzip=False)
        index.fault(WrongBytes(at=0), PAGE)
        with pytest.raises(UpstreamBroken):
            await upstream.fetch_page(DEMO, None)


class TestBounds:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client, "MAX_PAGE", 1_000_000)

    async def test_a_page_without_end_is_given_up(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.dialect = replace(index.dialect, gzip=False)
        index.fault(Endless(), PAGE)
        with pytest.raises(UpstreamBroken, match="without end"):
            await upstream.fetch_page(DEMO, None)
        await index.until(lambda: index.abandoned(PAGE) == 1)

    async def test_a_bomb_is_not_inflated(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.fault(GzipBomb(64), PAGE)
        tracemalloc.start()
        try:
            with pytest.raises(UpstreamBroken):
                await upstream.fetch_page(DEMO, None)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 40_000_000

    async def test_a_page_at_the_bound_is_a_page(
        self, index: FakeIndex, upstream: HttpUpstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = b'{"meta": {"api-version": "1.0"}, "name": "demo", "files": []}'
        index.fault(Status(200, {"Content-Type": JSON}, body), PAGE)
        monkeypatch.setattr(client, "MAX_PAGE", len(body))
        await page_of(upstream)
        monkeypatch.setattr(client, "MAX_PAGE", len(body) - 1)
        with pytest.raises(UpstreamBroken):
            await page_of(upstream)


class TestRetry:
    @pytest.mark.parametrize("fault", [Status(503), Status(429, {"Retry-After": "1"}), Refuse()], ids=kind)
    async def test_a_page_that_nobody_has_is_tried_once_more(
        self, index: FakeIndex, upstream: HttpUpstream, fault: fake_index.Fault
    ) -> None:
        index.fault(fault, PAGE, times=1)
        assert len((await page_of(upstream)).detail.files) == 1
        assert index.count() == 2

    async def test_and_then_given_up(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.fault(Status(503), PAGE)
        with pytest.raises(UpstreamTrouble):
            await upstream.fetch_page(DEMO, None)
        assert index.count() == 2

    async def test_where_one_is_at_hand_it_is_given_up_at_once(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.fault(Status(503), PAGE)
        with pytest.raises(UpstreamTrouble):
            await upstream.fetch_page(DEMO, KNOWN)
        assert index.count() == 1


class TestSlow:
    @pytest.mark.parametrize("fault", [Hang(), Hang(after=0), Gate(after=20), Drip(size=1, delay=0.1)], ids=kind)
    async def test_a_page_has_to_come_in_time_as_a_whole(
        self, index: FakeIndex, hasty: HttpUpstream, upstream: HttpUpstream, fault: fake_index.Fault
    ) -> None:
        index.fault(fault, PAGE)
        started = asyncio.get_running_loop().time()
        with pytest.raises(UpstreamTrouble, match=r"in time|cannot be reached|stopped sending"):
            await hasty.fetch_page(DEMO, None)
        assert asyncio.get_running_loop().time() - started < 5
        index.clear_faults()
        assert len((await page_of(upstream)).detail.files) == 1

    async def test_so_has_the_retry(self, index: FakeIndex, hasty: HttpUpstream) -> None:
        index.fault(Status(503), PAGE, times=1)
        index.fault(Hang(), PAGE)
        with pytest.raises(UpstreamTrouble):
            await hasty.fetch_page(DEMO, None)

    @pytest.mark.parametrize("after", [None, 0, 1000])
    async def test_a_file_that_stops_coming_is_given_up(
        self, index: FakeIndex, hasty: HttpUpstream, demo: fake_index.File, after: int | None
    ) -> None:
        index.fault(Hang(after), "*.whl")
        with pytest.raises(UpstreamTrouble):
            await read(hasty, demo.url)
        await index.until(lambda: index.abandoned("*.whl") == 1)

    async def test_a_head_that_hangs_is_given_up(
        self, index: FakeIndex, hasty: HttpUpstream, demo: fake_index.File
    ) -> None:
        index.fault(Hang(), "*.whl")
        with pytest.raises(UpstreamTrouble):
            await hasty.fetch_size(demo.url)

    async def test_a_provenance_that_drips_is_given_up(
        self, index: FakeIndex, hasty: HttpUpstream, demo: fake_index.File
    ) -> None:
        index.fault(Drip(size=1, delay=0.1), "/integrity/*")
        with pytest.raises(UpstreamTrouble):
            await hasty.fetch_provenance(f"http://{index.pages_host}{demo.provenance_path}")

    async def test_whoever_waits_may_be_cancelled(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        gate = index.fault(Hang())
        asking = [
            asyncio.create_task(upstream.fetch_page(DEMO, None)),
            asyncio.create_task(read(upstream, demo.url)),
            asyncio.create_task(upstream.fetch_size(demo.url)),
        ]
        await gate.waiting(3)
        for task in asking:
            task.cancel()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {asyncio.CancelledError}
        await index.until(lambda: index.abandoned() == 3)


class TestDown:
    async def test_nobody_can_be_reached(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        await index.down()
        for ask in (
            upstream.fetch_page(DEMO, None),
            upstream.fetch_page(DEMO, KNOWN),
            upstream.fetch_size(demo.url),
            read(upstream, demo.url),
        ):
            with pytest.raises(UpstreamTrouble, match="cannot be reached"):
                await ask
        await index.up()
        assert await read(upstream, demo.url) == demo.data

    async def test_what_is_under_way_breaks_off(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        gate = index.fault(Gate(after=1000), "*.whl")
        reading = asyncio.create_task(read(upstream, demo.url))
        await gate.waiting()
        await index.down()
        with pytest.raises(UpstreamTrouble):
            await reading

    async def test_a_connection_that_was_closed_meanwhile_is_not_a_failure(
        self, index: FakeIndex, upstream: HttpUpstream
    ) -> None:
        await page_of(upstream)
        await index.down()
        await index.up()
        assert len((await page_of(upstream)).detail.files) == 1

    async def test_a_name_that_does_not_resolve_is_trouble(self, connect: Connect) -> None:
        nowhere = await connect(Upstream("nowhere", "http://index.invalid/simple/"))
        with pytest.raises(UpstreamTrouble):
            await nowhere.fetch_page(DEMO, KNOWN)


class TestAnyFault:
    """Whatever happens, what comes is an answer or an error of the tree."""

    FAULTS = (
        BrokenGzip(),
        Drip(size=1, delay=2),
        Endless(),
        GzipBomb(4),
        Hang(),
        Hang(after=1),
        HtmlError(),
        InvalidJson(),
        RedirectLoop(),
        Refuse(),
        Status(100),
        Status(200),
        Status(204),
        Status(301, {"Location": "//"}),
        Status(302, {"Location": "http://%zz/"}),
        Status(302, {"Location": "\x7f"}),
        Status(304),
        Status(407, {"Proxy-Authenticate": "Basic"}),
        Status(418),
        Status(599),
        Truncated(),
        Truncated(chunked=True),
        WrongBytes(),
        WrongType(),
    )

    @pytest.mark.parametrize("fault", FAULTS, ids=kind)
    async def test_it_stays_within_the_tree(
        self, index: FakeIndex, hasty: HttpUpstream, demo: fake_index.File, fault: fake_index.Fault
    ) -> None:
        index.fault(fault)
        calls = (
            hasty.fetch_page(DEMO, None),
            hasty.fetch_page(DEMO, KNOWN),
            hasty.fetch_size(demo.url),
            hasty.fetch_provenance(f"http://{index.pages_host}{demo.provenance_path}"),
            self.read_some(hasty, demo.url, None),
            self.read_some(hasty, demo.url, ByteRange(0, 9)),
        )
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        strays = [one for one in outcomes if isinstance(one, BaseException) and not isinstance(one, SidecarError)]
        assert strays == []

    async def read_some(self, upstream: HttpUpstream, url: str, wanted: ByteRange | None) -> None:
        """As a download does, which counts for itself."""
        async with upstream.open_file(url, wanted) as body:
            left = 100_000
            async for chunk in body.chunks:
                left -= len(chunk)
                if left < 0:
                    return


class TestNoHttp:
    """Servers that do not speak the protocol."""

    @asynccontextmanager
    async def server(self, answer: bytes) -> AsyncIterator[Upstream]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1")
        port = server.sockets[0].getsockname()[1]
        try:
            yield Upstream("raw", f"http://127.0.0.1:{port}/simple/", page_timeout=timedelta(seconds=3))
        finally:
            server.close()
            await server.wait_closed()

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"\r\n",
            b"hello\r\n\r\n",
            b"HTTP/9.9 200 OK\r\n\r\n",
            b"HTTP/1.1 ABC OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
            b"HTTP/1.1 301 Moved\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n",
            b"\x16\x03\x01\x02\x00" + bytes(100),
        ],
        ids=lambda answer: repr(answer[:70]),
    )
    async def test_they_are_trouble_and_nothing_else(self, connect: Connect, answer: bytes) -> None:
        async with self.server(answer) as settings:
            upstream = await connect(settings)
            base = settings.url.removesuffix("simple/")
            for call in (upstream.fetch_page(DEMO, KNOWN), read(upstream, f"{base}demo.zip", ByteRange(0, 9))):
                with pytest.raises(SidecarError):
                    await call
            with suppress(SidecarError):
                await upstream.fetch_size(f"{base}demo.zip")
            for url in (f"{base}demo.zip", f"{base}provenance"):
                with suppress(SidecarError):
                    await read(upstream, url)
