"""An upstream that is counted answers as it would without it."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from proxy.core import metrics
from proxy.core.cells import SUM
from proxy.core.errors import NotFound, Offline, UpstreamBroken, UpstreamTrouble
from proxy.core.metrics import Failure, Question
from proxy.core.names import parse_project_name
from proxy.core.ranges import ByteRange
from proxy.ports import Absent, NotModified
from proxy.services.metered_upstream import MeteredUpstream
from proxy.services.meters import Board
from tests.builders import build_sdist
from tests.fakes.gate import Gate
from tests.fakes.upstream import FakeUpstream, Served

if TYPE_CHECKING:
    from proxy.ports import Body

DEMO = parse_project_name("demo")
SDIST = build_sdist("demo", "1.0", size_padding=10_000)
SIZE = len(SDIST.data)


class Metered:
    """`upstream` counts what `inner` is asked."""

    def __init__(self) -> None:
        self.inner = FakeUpstream()
        self.url = self.inner.add("demo", SDIST, provenance=b"{}").url
        self._board = Board(0)
        self.upstream = MeteredUpstream(self.inner, self._board.meters())

    def requests(self) -> dict[Question, float]:
        """Those counted; the histogram must agree."""
        cells = self._board.read()
        counted = {each: cells[metrics.UPSTREAM_REQUESTS.cell(each)] for each in Question}
        for each, count in counted.items():
            first = metrics.UPSTREAM_DURATION.cell(each)
            assert sum(cells[first : first + SUM]) == count
        return {each: count for each, count in counted.items() if count}

    def received(self) -> dict[Question, float]:
        cells = self._board.read()
        counted = {Question(each): cells[cell] for (each,), cell in metrics.UPSTREAM_BYTES.rows}
        return {each: count for each, count in counted.items() if count}

    def failures(self) -> list[tuple[Question, Failure]]:
        cells = self._board.read()
        counted = [(each, why) for each in Question for why in Failure]
        return [each for each in counted for _ in range(int(cells[metrics.UPSTREAM_FAILURES.cell(*each)]))]


@pytest.fixture
def metered() -> Metered:
    return Metered()


async def read(body: Body) -> bytes:
    return b"".join([chunk async for chunk in body.chunks])


async def test_it_bears_the_name_and_the_links_of_the_one_inside(metered: Metered) -> None:
    assert (metered.upstream.name, metered.upstream.links) == (metered.inner.name, metered.inner.links)


async def test_each_question_counts_once_and_is_answered_as_before(metered: Metered) -> None:
    upstream, page = metered.upstream, metered.inner.pages[DEMO]._replace(size=1234)
    metered.inner.pages[DEMO] = page
    assert await upstream.fetch_page(DEMO, None) is page
    assert await upstream.fetch_page(DEMO, page.validators) == NotModified()
    assert await upstream.fetch_page(parse_project_name("absent"), None) == Absent()
    assert await upstream.has_page(DEMO) is True
    assert await upstream.fetch_size(metered.url) == SIZE
    assert await upstream.fetch_provenance(f"{metered.url}/provenance") == b"{}"
    async with upstream.open_file(metered.url) as body:
        assert (body.length, await read(body)) == (SIZE, SDIST.data)
    async with upstream.open_file(metered.url, ByteRange(0, 9)) as body:
        assert (body.length, await read(body)) == (10, SDIST.data[:10])
    async with upstream.open_rest(metered.url, SIZE - 5, SIZE) as body:
        assert (body.length, await read(body)) == (5, SDIST.data[-5:])
    assert metered.requests() == {
        Question.PAGE: 3,
        Question.PAGE_HEAD: 1,
        Question.FILE_HEAD: 1,
        Question.PROVENANCE: 1,
        Question.FILE: 3,
    }
    assert metered.received() == {Question.PAGE: 1234, Question.PROVENANCE: 2, Question.FILE: SIZE + 15}
    assert metered.failures() == []


@pytest.mark.parametrize(
    ("trouble", "failure"), [(UpstreamTrouble("down"), Failure.TROUBLE), (UpstreamBroken("lies"), Failure.BROKEN)]
)
async def test_every_failure_counts_and_is_raised(
    metered: Metered, trouble: UpstreamTrouble, failure: Failure
) -> None:
    metered.inner.trouble = trouble
    upstream = metered.upstream
    for asking in (upstream.fetch_page(DEMO, None), upstream.has_page(DEMO), upstream.fetch_size(metered.url)):
        with pytest.raises(type(trouble)):
            await asking
    with pytest.raises(type(trouble)):
        await upstream.fetch_provenance(metered.url)
    with pytest.raises(type(trouble)):
        await upstream.open_file(metered.url).__aenter__()
    assert metered.requests() == dict.fromkeys(Question, 1)
    assert metered.failures() == [(each, failure) for each in Question]


async def test_a_file_that_breaks_off_is_a_failure_and_its_bytes_are_counted(metered: Metered) -> None:
    metered.inner.files[metered.url] = Served(SDIST.data[:100], length=SIZE, failure=UpstreamTrouble("broke off"))
    async with metered.upstream.open_file(metered.url) as body:
        with pytest.raises(UpstreamTrouble, match="broke off"):
            await read(body)
    assert metered.failures() == [(Question.FILE, Failure.TROUBLE)]
    assert (metered.requests(), metered.received()) == ({Question.FILE: 1}, {Question.FILE: 100})


async def test_whoever_reads_no_further_makes_no_failure_and_ends_the_transfer(metered: Metered) -> None:
    gate = Gate()
    metered.inner.files[metered.url] = Served(SDIST.data, gate=gate, gate_at=100)
    async with metered.upstream.open_file(metered.url) as body, aclosing(body.chunks) as chunks:
        assert await anext(chunks) == SDIST.data[:100]
    assert (metered.failures(), metered.inner.sent) == ([], 100)


async def test_a_file_that_is_gone_is_an_answer(metered: Metered) -> None:
    with pytest.raises(NotFound):
        await metered.upstream.open_file("https://pypi.example/gone").__aenter__()
    assert (metered.requests(), metered.failures()) == ({Question.FILE: 1}, [])


async def test_what_is_not_asked_is_not_counted(metered: Metered) -> None:
    metered.inner.trouble = Offline("offline")
    with pytest.raises(Offline):
        await metered.upstream.fetch_page(DEMO, None)
    assert (metered.requests(), metered.failures()) == ({}, [])
