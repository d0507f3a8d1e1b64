"""A file over as many connections as it takes, and not over more."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import NotFound, UpstreamBroken, UpstreamTrouble
from proxy.core.ranges import ByteRange
from proxy.services import resuming
from proxy.services.resuming import open_resuming
from tests.builders import build_sdist
from tests.fakes.gate import until
from tests.fakes.upstream import TRUTH, Asked, FakeUpstream, Served

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from proxy.core.errors import SidecarError
    from proxy.core.model import File
    from proxy.ports import Body

SDIST = build_sdist("demo", "1.0", size_padding=100_000)
DATA, SIZE = SDIST.data, len(SDIST.data)
PIECE = 4096
CUT = UpstreamTrouble("the upstream pypi broke off its answer")


class Flaky(FakeUpstream):
    """Its connections break after so many bytes, one after the other; those beyond the list do not.

    None: the connection cannot be had at all. `still_open` counts those that nobody closed.
    """

    def __init__(self, *breaks: int | None) -> None:
        super().__init__()
        self.breaks: list[int | None] = list(breaks)
        self.refusal: SidecarError = CUT
        self.still_open = 0

    @asynccontextmanager
    async def _sending(self, served: Served) -> AsyncIterator[Body]:
        if self.breaks and self.breaks[0] is None:
            self.breaks.pop(0)
            raise self.refusal
        self.still_open += 1
        try:
            async with super()._sending(served) as body:
                yield body
        finally:
            self.still_open -= 1

    async def _send(self, served: Served) -> AsyncGenerator[bytes, None]:
        left = self.breaks.pop(0) if self.breaks else None
        async for piece in super()._send(served):
            if left is not None and left < len(piece):
                yield piece[:left]
                raise CUT
            left = None if left is None else left - len(piece)
            yield piece


def add(upstream: FakeUpstream, size: int | None = SIZE) -> File:
    return upstream.add("demo", SDIST, size=size)


async def read(upstream: FakeUpstream, file: File, wanted: ByteRange | None = None, *, first: int = 0) -> bytes:
    async with open_resuming(upstream, file, wanted, first=first) as body:
        return b"".join([chunk async for chunk in body.chunks])


def rests(upstream: FakeUpstream) -> Sequence[int | None]:
    """Where connections after the first took it up."""
    return [asked.first for asked in upstream.asked[1:]]


class TestTakenUpAgain:
    @pytest.mark.parametrize("size", [SIZE, None])
    @pytest.mark.parametrize("breaks", [[60_000], [0], [0, 0, 0], [1, 50_000, 40_000], [SIZE - 1], [1] * 20], ids=str)
    async def test_where_it_stands(self, breaks: list[int], size: int | None) -> None:
        upstream = Flaky(*breaks)
        assert await read(upstream, add(upstream, size)) == DATA
        assert upstream.count() == len(breaks) + 1
        assert rests(upstream) == [None if here == 0 else here for here in _sums(breaks)]
        assert upstream.still_open == 0

    async def test_no_byte_is_asked_for_twice(self) -> None:
        upstream = Flaky(60_000)
        await read(upstream, add(upstream))
        assert upstream.sent < SIZE + PIECE

    async def test_where_nobody_told_the_size_too(self) -> None:
        upstream = Flaky(60_000)
        file = add(upstream, None)
        upstream.files[file.url] = Served(DATA, length=None)
        assert await read(upstream, file) == DATA
        assert upstream.count() == 2

    async def test_of_a_range_the_rest_of_the_range(self) -> None:
        upstream = Flaky(10_000, 0)
        assert await read(upstream, add(upstream), ByteRange(5_000, 64_999)) == DATA[5_000:65_000]
        assert [asked.wanted for asked in upstream.asked] == [
            ByteRange(5_000, 64_999),
            ByteRange(15_000, 64_999),
            ByteRange(15_000, 64_999),
        ]

    async def test_one_may_begin_later(self) -> None:
        upstream = Flaky(10_000)
        assert await read(upstream, add(upstream), first=50_000) == DATA[50_000:]
        assert [asked.first for asked in upstream.asked] == [50_000, 60_000]

    async def test_a_connection_that_cannot_be_had_is_tried_again(self) -> None:
        upstream = Flaky(60_000, None, None)
        assert await read(upstream, add(upstream)) == DATA

    async def test_a_break_behind_the_last_byte_is_none(self) -> None:
        upstream = FakeUpstream()
        file = add(upstream)
        upstream.files[file.url] = Served(DATA, failure=CUT)
        assert await read(upstream, file) == DATA
        assert upstream.count() == 1

    async def test_a_clean_end_that_comes_too_early_is_one_more_break(self) -> None:
        upstream = FakeUpstream()
        file = add(upstream)
        upstream.files[file.url] = Served(DATA[:60_000], length=None)
        async with open_resuming(upstream, file) as body:
            read = [await anext(body.chunks)]
            upstream.files[file.url] = Served(DATA)
            read += [chunk async for chunk in body.chunks]
        assert b"".join(read) == DATA


class TestGivenUp:
    async def test_when_nothing_more_comes(self) -> None:
        upstream = Flaky(60_000, *[0] * 100)
        with pytest.raises(UpstreamTrouble, match="broke off"):
            await read(upstream, add(upstream))
        assert upstream.count() == 2 + len(resuming.PAUSES) - 1
        assert upstream.still_open == 0

    async def test_what_cannot_be_opened_is_not_opened_again(self) -> None:
        """The adapter has done what is to be done."""
        upstream = Flaky(None)
        with pytest.raises(UpstreamTrouble):
            await read(upstream, add(upstream))
        assert upstream.count() == 1

    async def test_when_so_many_connections_brought_too_little(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resuming, "MAX_CONNECTIONS", 10)
        monkeypatch.setattr(resuming, "PAUSES", (0.0,) * 4)
        upstream = Flaky(*[1] * 1000)
        with pytest.raises(UpstreamTrouble):
            await read(upstream, add(upstream))
        assert upstream.count() == 10

    async def test_when_no_byte_came_for_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resuming, "STALL", 0.05)
        monkeypatch.setattr(resuming, "PAUSES", (0.02,) * 100)
        upstream = Flaky(60_000, *[None] * 1000)
        with pytest.raises(UpstreamTrouble):
            await read(upstream, add(upstream))
        assert upstream.count() < 10

    async def test_when_the_upstream_wants_to_be_left_alone(self) -> None:
        upstream = Flaky(60_000, None)
        upstream.refusal = UpstreamTrouble("the upstream pypi answered 503", retry_after=30)
        with pytest.raises(UpstreamTrouble, match="answered 503"):
            await read(upstream, add(upstream))
        assert upstream.count() == 2

    @pytest.mark.parametrize("refusal", [NotFound("404 Not Found"), UpstreamBroken("another file by now")], ids=repr)
    async def test_at_once_when_there_is_no_such_file_any_more(self, refusal: SidecarError) -> None:
        upstream = Flaky(60_000, None)
        upstream.refusal = refusal
        with pytest.raises(type(refusal)):
            await read(upstream, add(upstream))
        assert upstream.count() == 2

    async def test_at_once_when_it_has_another_size(self) -> None:
        upstream = Flaky(60_000)
        file = add(upstream, None)
        async with open_resuming(upstream, file) as body:
            await anext(body.chunks)
            upstream.files[file.url] = Served(DATA + b"x")
            with pytest.raises(UpstreamBroken):
                async for _ in body.chunks:
                    pass

    async def test_when_whoever_reads_it_leaves(self) -> None:
        upstream = Flaky(60_000, *[1] * 90)
        reading = asyncio.create_task(read(upstream, add(upstream)))
        await until(lambda: upstream.count() >= 2)
        reading.cancel()
        await asyncio.wait([reading])
        assert upstream.still_open == 0


class TestLength:
    @pytest.mark.parametrize(
        ("wanted", "first", "length"),
        [(None, 0, SIZE), (None, 10, SIZE - 10), (ByteRange(10, 19), 0, 10)],
    )
    async def test_it_is_what_is_to_come(self, wanted: ByteRange | None, first: int, length: int) -> None:
        upstream = FakeUpstream()
        async with open_resuming(upstream, add(upstream), wanted, first=first) as body:
            assert body.length == length
        assert upstream.asked[0] == Asked("rest" if first else "file", add(upstream).url, None, wanted, first or None)

    async def test_it_is_the_pages_where_the_answer_tells_none(self) -> None:
        upstream = FakeUpstream()
        file = add(upstream)
        upstream.files[file.url] = Served(DATA, length=None)
        async with open_resuming(upstream, file) as body:
            assert body.length == SIZE


@given(
    breaks=st.lists(st.none() | st.integers(0, SIZE), max_size=12),
    size=st.sampled_from([SIZE, None]),
    length=st.sampled_from([TRUTH, None]),
    first=st.integers(0, SIZE - 1),
)
@settings(max_examples=60, deadline=None)
def test_whatever_breaks_what_comes_is_the_file_from_its_start(
    breaks: list[int | None], size: int | None, length: int | None, first: int
) -> None:
    async def check() -> None:
        upstream, got = Flaky(*breaks), bytearray()
        file = add(upstream, size)
        upstream.files[file.url] = Served(DATA, length=length)
        with suppress(UpstreamTrouble):
            async with open_resuming(upstream, file, first=first) as body:
                async for chunk in body.chunks:
                    got += chunk
            assert len(got) == SIZE - first
        assert DATA[first:].startswith(bytes(got))
        assert upstream.still_open == 0

    asyncio.run(check())


def _sums(sizes: list[int]) -> list[int]:
    return [sum(sizes[: count + 1]) for count in range(len(sizes))]
