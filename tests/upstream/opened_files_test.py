"""Files and their companions from an honest upstream: whole, in ranges, their size, their provenance."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import NotFound, UpstreamBroken, UpstreamTrouble
from proxy.core.ranges import ByteRange
from proxy.upstream import client
from tests import fake_index
from tests.fake_index import Drip, FakeIndex, Gate, Status
from tests.upstream.asking import Connect, page_of, read

if TYPE_CHECKING:
    from proxy.core.registry import Upstream
    from proxy.upstream import HttpUpstream

WHEEL = "*.whl"


@pytest.fixture
def demo(index: FakeIndex) -> fake_index.File:
    return index.add_wheel("demo", "1.0", size_padding=300_000, provenance=b'{"version": 1}')


class TestWhole:
    async def test_its_bytes_come_with_their_length(self, upstream: HttpUpstream, demo: fake_index.File) -> None:
        async with upstream.open_file(demo.url) as body:
            assert body.length == len(demo.data)
            assert b"".join([chunk async for chunk in body.chunks]) == demo.data

    async def test_without_a_length_it_ends_where_it_ends(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        index.fault(fake_index.Endless(), WHEEL)
        async with upstream.open_file(demo.url) as body:
            assert body.length is None
            assert await anext(body.chunks)

    async def test_it_is_asked_for_as_it_is(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        await read(upstream, demo.url)
        assert index.requests[0].headers["Accept-Encoding"] == "identity"
        assert "Range" not in index.requests[0].headers

    @pytest.mark.parametrize("filename", ["demo-1.0+local.zip", "demo 1.0.zip", "demo-1.0 (1).zip"])
    async def test_odd_names_are_found_where_the_page_says(
        self, index: FakeIndex, upstream: HttpUpstream, filename: str
    ) -> None:
        index.add_file("demo", filename, filename.encode())
        (file,) = (await page_of(upstream)).detail.files
        assert await read(upstream, file.url) == filename.encode()

    async def test_a_query_is_part_of_the_address(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        await read(upstream, f"{demo.url}?sig=a%2Fb&x=1")
        assert index.requests[-1].query == "sig=a/b&x=1"

    async def test_who_leaves_early_ends_the_request(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        gate = index.fault(Gate(after=1000), WHEEL)
        async with upstream.open_file(demo.url) as body:
            await anext(body.chunks)
            await gate.waiting()
        await index.until(lambda: index.abandoned(WHEEL) == 1)
        index.clear_faults()
        assert await read(upstream, demo.url) == demo.data

    async def test_who_is_cancelled_too(self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File) -> None:
        gate = index.fault(Gate(after=1000), WHEEL)
        reading = asyncio.create_task(read(upstream, demo.url))
        await gate.waiting()
        reading.cancel()
        await asyncio.wait([reading])
        await index.until(lambda: index.abandoned(WHEEL) == 1)

    async def test_a_slow_file_may_take_longer_than_a_page(
        self, index: FakeIndex, connect: Connect, settings: Upstream
    ) -> None:
        """Only the time between bytes is bounded."""
        hasty = await connect(replace(settings, page_timeout=timedelta(seconds=0.5)))
        file = index.add_file("demo", "demo-1.0.zip", b"x" * 40)
        index.fault(Drip(size=1, delay=0.02), "*.zip")
        assert await read(hasty, file.url) == file.data

    @pytest.mark.parametrize("status", [404, 410])
    async def test_one_that_is_gone_is_not_found(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, status: int
    ) -> None:
        index.fault(Status(status), WHEEL)
        with pytest.raises(NotFound):
            await read(upstream, demo.url)
        with pytest.raises(NotFound):
            await upstream.fetch_size(demo.url)

    @pytest.mark.parametrize("status", [405, 501])
    async def test_where_nobody_may_ask_for_the_head_alone_its_size_is_not_told(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, status: int
    ) -> None:
        index.fault(Status(status), WHEEL)
        assert await upstream.fetch_size(demo.url) is None

    @pytest.mark.parametrize("status", [204, 206, 304, 401, 403])
    async def test_any_other_status_is_trouble(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, status: int
    ) -> None:
        index.fault(Status(status), WHEEL)
        with pytest.raises(UpstreamTrouble, match=f"answered {status} for a file"):
            await read(upstream, demo.url)
        assert index.count() == 1, "whoever follows the download is told at once"

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    async def test_one_that_may_pass_is_trouble_when_it_does_not(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, status: int
    ) -> None:
        index.fault(Status(status), WHEEL)
        with pytest.raises(UpstreamTrouble, match=f"answered {status} for a file"):
            await read(upstream, demo.url)
        assert index.count() == 3

    @pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "br", "x-unknown"])
    async def test_an_encoded_one_is_refused(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, encoding: str
    ) -> None:
        index.fault(Status(200, {"Content-Encoding": encoding}, demo.data), WHEEL)
        with pytest.raises(UpstreamBroken):
            await read(upstream, demo.url)

    async def test_one_that_is_said_not_to_be_encoded_is_fine(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        index.fault(Status(200, {"Content-Encoding": "identity"}, demo.data), WHEEL)
        assert await read(upstream, demo.url) == demo.data


class TestRanges:
    @pytest.mark.parametrize("wanted", [ByteRange(0, 0), ByteRange(1000, 200_000), ByteRange(299_000, 299_999)])
    async def test_the_bytes_asked_for_come(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, wanted: ByteRange
    ) -> None:
        assert await read(upstream, demo.url, wanted) == demo.data[wanted.first : wanted.last + 1]
        assert index.requests[0].headers["Range"] == f"bytes={wanted.first}-{wanted.last}"
        assert index.bytes_sent() == wanted.length

    async def test_an_upstream_without_ranges_is_told_apart(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        index.dialect = replace(index.dialect, ranges=False)
        with pytest.raises(UpstreamBroken, match="sends no ranges"):
            await read(upstream, demo.url, ByteRange(0, 9))

    @pytest.mark.parametrize(
        "said", ["", "bytes 0-8/100", "bytes 1-10/100", "bytes */100", "lines 0-9/100", "bytes 0-99/100"]
    )
    async def test_another_range_is_refused(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, said: str
    ) -> None:
        index.fault(Status(206, {"Content-Range": said} if said else {}, b"0123456789"), WHEEL)
        with pytest.raises(UpstreamBroken, match="another range"):
            await read(upstream, demo.url, ByteRange(0, 9))

    async def test_one_beyond_the_end_is_trouble(self, upstream: HttpUpstream, demo: fake_index.File) -> None:
        with pytest.raises(UpstreamTrouble, match="416"):
            await read(upstream, demo.url, ByteRange(10_000_000, 10_000_009))

    async def test_of_a_file_that_is_gone_it_is_not_found(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        index.remove("demo")
        with pytest.raises(NotFound):
            await read(upstream, demo.url, ByteRange(0, 9))


class TestSize:
    async def test_it_is_told_without_the_body(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        assert await upstream.fetch_size(demo.url) == len(demo.data)
        assert [ask.method for ask in index.requests] == ["HEAD"]
        assert index.bytes_sent() == 0

    async def test_or_it_is_not_told(self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File) -> None:
        index.fault(fake_index.Endless(), WHEEL)
        assert await upstream.fetch_size(demo.url) is None

    async def test_that_of_an_encoded_body_is_not_the_files(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        index.fault(Status(200, {"Content-Encoding": "gzip"}, b"x"), WHEEL)
        with pytest.raises(UpstreamBroken):
            await upstream.fetch_size(demo.url)


class TestProvenance:
    def url(self, index: FakeIndex, demo: fake_index.File) -> str:
        return f"http://{index.pages_host}{demo.provenance_path}"

    async def test_it_comes_as_it_is(self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File) -> None:
        assert await upstream.fetch_provenance(self.url(index, demo)) == b'{"version": 1}'
        assert index.requests[0].headers["Accept"].startswith("application/vnd.pypi.integrity.v1+json")

    async def test_one_that_is_gone_is_not_found(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        index.remove("demo")
        with pytest.raises(NotFound):
            await upstream.fetch_provenance(self.url(index, demo))

    async def test_one_without_end_is_given_up(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client, "MAX_PROVENANCE", 100_000)
        index.fault(fake_index.Endless(), "/integrity/*")
        with pytest.raises(UpstreamBroken, match="without end"):
            await upstream.fetch_provenance(self.url(index, demo))
        await index.until(lambda: index.abandoned() == 1)


async def test_pages_do_not_queue_behind_files(
    index: FakeIndex, connect: Connect, settings: Upstream, demo: fake_index.File
) -> None:
    narrow = await connect(replace(settings, max_connections=1))
    gate = index.fault(Gate(after=10), WHEEL)
    slow = asyncio.create_task(read(narrow, demo.url))
    await gate.waiting()
    assert len((await page_of(narrow)).detail.files) == 1
    gate.open()
    assert await slow == demo.data


async def test_no_more_connections_are_opened_than_allowed(
    index: FakeIndex, connect: Connect, settings: Upstream, demo: fake_index.File
) -> None:
    narrow = await connect(replace(settings, max_connections=2))
    gate = index.fault(Gate(), WHEEL)
    reading = [asyncio.create_task(read(narrow, demo.url)) for _ in range(5)]
    await gate.waiting(2)
    assert index.count("GET", WHEEL) == 2
    gate.open()
    assert await asyncio.gather(*reading) == [demo.data] * 5
