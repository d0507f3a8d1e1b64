"""What is asked for again: files, ranges, sizes and provenance that could not be had for a moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import pytest

from proxy.core.errors import NotFound, UpstreamBroken, UpstreamTrouble
from proxy.core.ranges import ByteRange
from tests import fake_index
from tests.fake_index import FakeIndex, Hang, HtmlError, InvalidJson, Refuse, Status, Truncated, WrongType
from tests.upstream.asking import Connect, kind, read

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.core.registry import Upstream
    from proxy.upstream import HttpUpstream

    Ask: TypeAlias = Callable[[HttpUpstream, str], Awaitable[object]]

WHEEL = "*.whl"


@pytest.fixture
def demo(index: FakeIndex) -> fake_index.File:
    return index.add_wheel("demo", "1.0", size_padding=300_000, provenance=b'{"version": 1}')


async def read_rest(upstream: HttpUpstream, url: str, first: int, size: int | None) -> tuple[int | None, bytes]:
    async with upstream.open_rest(url, first, size) as body:
        return body.length, b"".join([chunk async for chunk in body.chunks])


ASKS: dict[str, Ask] = {
    "whole": read,
    "range": lambda upstream, url: read(upstream, url, ByteRange(0, 9)),
    "rest": lambda upstream, url: read_rest(upstream, url, 10, None),
    "size": lambda upstream, url: upstream.fetch_size(url),
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
class TestAgain:
    @pytest.mark.parametrize(
        "fault", [Status(500), Status(503), Status(429), Status(503, {"Retry-After": "0"}), Refuse()], ids=kind
    )
    async def test_what_passes_harms_nobody(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, fault: fake_index.Fault, ask: Ask
    ) -> None:
        index.fault(fault, WHEEL, times=2)
        await ask(upstream, demo.url)
        assert index.count() == 3

    async def test_what_does_not_is_told(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, ask: Ask
    ) -> None:
        index.fault(Status(503), WHEEL)
        with pytest.raises(UpstreamTrouble, match="answered 503"):
            await ask(upstream, demo.url)
        assert index.count() == 3

    @pytest.mark.parametrize("status", [429, 503])
    async def test_who_wants_to_be_left_alone_is(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, status: int, ask: Ask
    ) -> None:
        index.fault(Status(status, {"Retry-After": "30"}), WHEEL)
        with pytest.raises(UpstreamTrouble) as caught:
            await ask(upstream, demo.url)
        assert (index.count(), caught.value.retry_after) == (1, 30)

    async def test_a_short_while_is_waited(
        self,
        index: FakeIndex,
        upstream: HttpUpstream,
        demo: fake_index.File,
        monkeypatch: pytest.MonkeyPatch,
        ask: Ask,
    ) -> None:
        waited: list[float] = []
        sleep = asyncio.sleep

        async def note(seconds: float) -> None:
            waited.append(seconds)
            await sleep(0)

        monkeypatch.setattr("proxy.upstream.client.asyncio.sleep", note)
        index.fault(Status(503, {"Retry-After": "2"}), WHEEL, times=1)
        await ask(upstream, demo.url)
        assert 2 in waited

    @pytest.mark.parametrize("status", [401, 403, 404, 410])
    async def test_what_would_be_the_same_is_not_asked_for_again(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, status: int, ask: Ask
    ) -> None:
        index.fault(Status(status), WHEEL)
        with pytest.raises((UpstreamTrouble, NotFound)):
            await ask(upstream, demo.url)
        assert index.count() == 1

    async def test_offline_nobody_is_asked_even_once(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, ask: Ask
    ) -> None:
        upstream.offline = True
        with pytest.raises(UpstreamTrouble, match="offline"):
            await ask(upstream, demo.url)
        assert index.count() == 0

    async def test_nor_when_it_goes_offline_meanwhile(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, ask: Ask
    ) -> None:
        hang = index.fault(Hang(), WHEEL, times=1)
        index.fault(Status(503), WHEEL, times=1)
        asking = asyncio.ensure_future(ask(upstream, demo.url))
        await hang.waiting()
        upstream.offline = True
        await index.down()
        with pytest.raises(UpstreamTrouble):
            await asking
        assert index.count() == 1

    async def test_all_of_it_ends_with_the_page_timeout(
        self, index: FakeIndex, connect: Connect, settings: Upstream, demo: fake_index.File, ask: Ask
    ) -> None:
        """A file's head has the time that a page has as a whole, a retry and a redirect included."""
        hasty = await connect(replace(settings, page_timeout=timedelta(seconds=0.4)))
        index.fault(Status(503), WHEEL, times=1)
        index.fault(fake_index.Redirect(f"{demo.url}?moved"), WHEEL, times=1)
        index.fault(Refuse(), WHEEL, times=1)
        hang = index.fault(Hang(), WHEEL)
        with pytest.raises(UpstreamTrouble, match="in time"):
            await ask(hasty, demo.url)
        assert hang.arrived == 1


class TestRest:
    """The rest of a file, whichever way the upstream sends it."""

    @pytest.mark.parametrize("first", [0, 1, 299_000])
    @pytest.mark.parametrize("knows_size", [True, False])
    async def test_it_comes_by_range(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, first: int, *, knows_size: bool
    ) -> None:
        size = len(demo.data) if knows_size else None
        assert await read_rest(upstream, demo.url, first, size) == (len(demo.data) - first, demo.data[first:])
        assert index.bytes_sent() == len(demo.data) - first

    @pytest.mark.parametrize("first", [1, 299_000])
    async def test_an_upstream_without_ranges_sends_what_is_passed_over(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, first: int
    ) -> None:
        index.dialect = replace(index.dialect, ranges=False)
        rest = await read_rest(upstream, demo.url, first, len(demo.data))
        assert rest == (len(demo.data) - first, demo.data[first:])
        assert index.count() == 1

    @pytest.mark.parametrize(
        "said", ["", "bytes 0-9/10", "bytes 6-9/10", "bytes 5-8/10", "bytes 5-9/11", "bytes */10", "lines 5-9/10"]
    )
    async def test_another_range_is_refused(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, said: str
    ) -> None:
        index.fault(Status(206, {"Content-Range": said} if said else {}, b"56789"), WHEEL)
        with pytest.raises(UpstreamBroken):
            await read_rest(upstream, demo.url, 5, 10)
        assert index.count() == 1

    @pytest.mark.parametrize("said", ["bytes 5-9/10", "bytes 5-9/*"])
    async def test_the_right_one_may_leave_the_size_out(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, said: str
    ) -> None:
        index.fault(Status(206, {"Content-Range": said}, b"56789"), WHEEL)
        assert await read_rest(upstream, demo.url, 5, 10) == (5, b"56789")

    @pytest.mark.parametrize("ranges", [True, False])
    async def test_a_file_of_another_size_is_another(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, *, ranges: bool
    ) -> None:
        index.dialect = replace(index.dialect, ranges=ranges)
        with pytest.raises(UpstreamBroken, match="another file by now"):
            await read_rest(upstream, demo.url, 5, len(demo.data) + 1)

    async def test_so_is_one_that_ends_before(self, upstream: HttpUpstream, demo: fake_index.File) -> None:
        with pytest.raises(UpstreamBroken, match="another file by now"):
            await read_rest(upstream, demo.url, len(demo.data) + 5, None)

    async def test_an_encoded_one_is_refused(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        headers = {"Content-Range": "bytes 5-9/10", "Content-Encoding": "gzip"}
        index.fault(Status(206, headers, b"56789"), WHEEL)
        with pytest.raises(UpstreamBroken, match="encoded"):
            await read_rest(upstream, demo.url, 5, 10)


class TestCutOff:
    @pytest.mark.parametrize("chunked", [True, False])
    async def test_a_file_that_breaks_off_is_trouble_that_may_pass(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, *, chunked: bool
    ) -> None:
        index.fault(Truncated(chunked=chunked), WHEEL)
        with pytest.raises(UpstreamTrouble) as caught:
            await read(upstream, demo.url)
        assert not isinstance(caught.value, UpstreamBroken)


class TestProvenance:
    @pytest.mark.parametrize(
        "fault",
        [
            HtmlError(),
            HtmlError(b'{"version": 1}'),
            WrongType("text/html"),
            WrongType(""),
            InvalidJson(),
            InvalidJson(b""),
            InvalidJson(b"[]"),
            InvalidJson(b"null"),
            InvalidJson(b"[" * 100_000),
            InvalidJson(b'{"a": ' * 100_000),
            InvalidJson(b'{"version": 1}{'),
            Truncated(),
        ],
        ids=repr,
    )
    async def test_what_is_none_is_refused(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, fault: fake_index.Fault
    ) -> None:
        index.fault(fault, "/integrity/*")
        with pytest.raises(UpstreamBroken):
            await upstream.fetch_provenance(f"http://{index.pages_host}{demo.provenance_path}")
        assert index.count() == 1

    @pytest.mark.parametrize("content_type", ["application/json", "application/vnd.pypi.integrity.v1+json"])
    async def test_it_is_json(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, content_type: str
    ) -> None:
        index.fault(WrongType(content_type), "/integrity/*")
        url = f"http://{index.pages_host}{demo.provenance_path}"
        assert await upstream.fetch_provenance(url) == b'{"version": 1}'

    async def test_it_is_asked_for_again(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        index.fault(Status(503), "/integrity/*", times=2)
        url = f"http://{index.pages_host}{demo.provenance_path}"
        assert await upstream.fetch_provenance(url) == b'{"version": 1}'
