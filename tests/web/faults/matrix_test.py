"""Every fault of the table, for every kind of answer, never cached and cached: what comes, how soon, what is kept.

All of a test is asked at once, of one server and one index, each cell of the table with a project of its own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.fake_index import POOR, PYPI, Endless, GzipBomb
from tests.web.faults.subjects import COMPANIONS, Kind, Subject, add_subject, ask, unverified
from tests.web.faults.table import ABSENT, CUT, ERROR, HIT, RESUME, TOLD, Outcome, Row, rows
from tests.web.faults.verdict import fits, shown
from tests.web.server import eventually, forwards_to, kept_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.fake_index import FakeIndex
    from tests.web.server import Answer, MakeServer, Server

ALL_IN_ALL = 10.0
"""Seconds that an answer may take, whatever the upstream does."""
MOST_ASKS = {HIT: 0, ABSENT: 1, RESUME: 60}
"""Requests that one of a client's may cost the upstream: many while each brings some bytes. Else ENOUGH."""
ENOUGH = 8
RECOVERY = 15.0
"""Seconds until an upstream that was in trouble is believed again."""
SHORT = {"connect_timeout": '"1s"', "page_timeout": '"3s"', "read_timeout": '"2s"'}
ALWAYS_ASK = '[cache]\npage_ttl = "0s"\nnegative_ttl = "0s"\n'
NEVER_BELIEVE_A_404 = '[cache]\nnegative_ttl = "0s"\n'


class Cell(NamedTuple):
    row: Row
    kind: Kind
    subject: Subject
    expected: Outcome
    faulty: Kind
    before: Answer | None = None

    @property
    def source(self) -> str:
        """What of the upstream is faulty."""
        return self.subject.source(self.faulty)

    def __str__(self) -> str:
        return f"{self.row.name}, {self.kind.value}, {self.expected.name}"


class Result(NamedTuple):
    cell: Cell
    answer: Answer | None
    seconds: float

    @property
    def complaint(self) -> str:
        """Empty where all is as the table says, and in time."""
        cell = self.cell
        if not fits(cell.expected, cell.subject, cell.kind, self.answer, cell.before):
            return f"{cell}: {shown(self.answer)}"
        return f"{cell}: only after {self.seconds:.1f} s" if self.seconds > ALL_IN_ALL else ""


@pytest.fixture
def index(index: FakeIndex) -> FakeIndex:
    index.dialect = replace(PYPI, gzip=False)  # so that pages are long enough to drip
    return index


async def test_what_was_never_cached(make_server: MakeServer, index: FakeIndex, refused: str) -> None:
    cells = [cell for row in rows(refused) for cell in never_cached(index, row)]
    await check_never_cached(await make_server(upstream(index, refused) + NEVER_BELIEVE_A_404), index, cells)


@pytest.mark.slow
async def test_a_file_of_which_nobody_tells_the_size(make_server: MakeServer, index: FakeIndex, refused: str) -> None:
    """An answer may have begun by the time that it turns out to be wrong; an endless one ends by the bound on all."""
    index.dialect = POOR
    cells = [cell for row in rows(refused) for cell in never_cached(index, row, (Kind.FILE,))]
    cells = [
        cell._replace(expected=CUT if cell.expected is ERROR else cell.expected)
        for cell in cells
        if not isinstance(cell.row.fault, Endless)
    ]
    await check_never_cached(await make_server(upstream(index, refused) + NEVER_BELIEVE_A_404), index, cells)


async def check_never_cached(server: Server, index: FakeIndex, cells: Sequence[Cell]) -> None:
    await asyncio.gather(*(server.get(cell.subject.page) for cell in cells if cell.faulty is not Kind.PAGE))
    index.clear_requests()
    make_faulty(index, cells)
    assert [*complaints(await ask_all(server, cells)), *hammered(index, cells)] == []
    assert unverified(server.data_dir, [cell.subject for cell in cells]) == []
    index.clear_faults()
    assert wrong(await ask_all(server, [cell for cell in cells if cell.expected is not TOLD])) == []
    await nothing_bad_is_kept(server, cells)


async def test_what_was_cached_and_has_expired(make_server: MakeServer, index: FakeIndex, refused: str) -> None:
    server = await start_with_own_upstreams(make_server, index, refused)
    cells = await all_cached(server, index, refused)
    index.clear_requests()
    make_faulty(index, cells)
    assert [*complaints(await ask_all(server, cells)), *hammered(index, cells)] == []
    await nothing_bad_is_kept(server, cells)
    await server.close()
    index.clear_faults()
    server = await start_with_own_upstreams(make_server, index, refused)
    assert wrong(await ask_all(server, cells)) == []


@pytest.mark.slow
async def test_what_was_cached_recovers_by_itself(make_server: MakeServer, index: FakeIndex, refused: str) -> None:
    server = await start_with_own_upstreams(make_server, index, refused)
    cells = await all_cached(server, index, refused)
    make_faulty(index, cells)
    await ask_all(server, cells)
    index.clear_faults()
    subjects = [cell.subject for cell in cells if cell.kind is Kind.PAGE]
    await asyncio.gather(*(recovers(server, index, subject) for subject in subjects))


def upstream(index: FakeIndex, refused: str, name: str = "pypi") -> str:
    return forwards_to(index, name, file_hosts=f'["{index.files_host}", "{refused}"]', **SHORT)


def own_upstream(index: FakeIndex, refused: str, number: int) -> str:
    """A group that has an upstream to itself: one row's trouble is not taken for another's."""
    table = upstream(index, refused, f"upstream-{number}")
    return f"""
{table}
[groups.row-{number}]
id = {number + 1}
upstreams = ["upstream-{number}"]
[projects."row-{number}/packages"]
id = {number + 1}
"""


async def start_with_own_upstreams(make_server: MakeServer, index: FakeIndex, refused: str) -> Server:
    tables = (own_upstream(index, refused, number) for number, _ in enumerate(rows(refused)))
    return await make_server("".join(tables) + ALWAYS_ASK)


def make_faulty(index: FakeIndex, cells: Iterable[Cell]) -> None:
    for cell in cells:
        index.fault(cell.row.fault, cell.source)


def never_cached(index: FakeIndex, row: Row, kinds: Iterable[Kind] = Kind) -> Iterable[Cell]:
    """A project for each kind of answer. Where its page is the faulty one, there is no way to its files either."""
    for kind in kinds:
        expected: Outcome | None = getattr(row, kind.value)
        if expected is None:
            continue
        subject = add_subject(index, plain(row.name) + plain(kind.value))
        yield Cell(row, kind, subject, expected, faulty=kind)
        if kind is Kind.PAGE and expected is not TOLD:
            yield Cell(row, Kind.FILE, subject, expected, faulty=kind)


async def all_cached(server: Server, index: FakeIndex, refused: str) -> Sequence[Cell]:
    of_rows = (cached(server, index, row, number) for number, row in enumerate(rows(refused)))
    return [cell for cells in await asyncio.gather(*of_rows) for cell in cells]


async def cached(server: Server, index: FakeIndex, row: Row, number: int) -> Sequence[Cell]:
    """One project in the row's own group, of which all is cached by now."""
    subject = add_subject(index, plain(row.name), f"/api/v4/groups/row-{number}/-/packages/pypi")
    for kind in (*COMPANIONS, Kind.PAGE):  # the page last: it shows what was read out of a wheel
        await ask(server, subject, kind)
    before = {kind: await ask(server, subject, kind) for kind in Kind}
    assert all(subject.is_right(kind, answer) for kind, answer in before.items())
    expected = dict.fromkeys(COMPANIONS, row.companions) | {Kind.PAGE: row.expired}
    return [Cell(row, kind, subject, expected[kind], kind, before[kind]) for kind in Kind]


async def ask_all(server: Server, cells: Iterable[Cell]) -> list[Result]:
    """All at once but for the bomb: the index makes it in the event loop that everybody shares here."""
    waves: tuple[list[Cell], list[Cell]] = [], []
    for cell in cells:
        waves[isinstance(cell.row.fault, GzipBomb)].append(cell)
    return [result for wave in waves for result in await asyncio.gather(*(ask_one(server, cell) for cell in wave))]


async def ask_one(server: Server, cell: Cell) -> Result:
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        answer = await ask(server, cell.subject, cell.kind)
    except TimeoutError:
        answer = None
    return Result(cell, answer, clock() - began)


def complaints(results: Iterable[Result]) -> list[str]:
    return [result.complaint for result in results if result.complaint]


def wrong(results: Iterable[Result]) -> list[str]:
    """Where not even without the fault the right answer comes."""
    return [f"{cell}: {shown(answer)}" for cell, answer, _ in results if not cell.subject.is_right(cell.kind, answer)]


def hammered(index: FakeIndex, cells: Sequence[Cell]) -> list[str]:
    """Where one request cost the upstream too many."""
    asks = [(cell, index.count(match=cell.source)) for cell in cells]
    sharing = Counter(cell.source for cell in cells)
    return [
        f"{cell}: asked {times} times"
        for cell, times in asks
        if times > sharing[cell.source] * MOST_ASKS.get(cell.expected, ENOUGH)
    ]


async def nothing_bad_is_kept(server: Server, cells: Iterable[Cell]) -> None:
    await eventually(lambda: kept_by(server.data_dir)["parts"] == 0)
    assert unverified(server.data_dir, [cell.subject for cell in cells]) == []


async def recovers(server: Server, index: FakeIndex, subject: Subject) -> None:
    """Wait until the upstream is believed again: what is new there is listed, and what is old is right."""
    newest = index.add_wheel(subject.name, "3.0")
    filenames = [subject.bare.filename, subject.wheel.filename, newest.filename]
    async with asyncio.timeout(RECOVERY):
        while (await server.page(subject.page)).filenames != filenames:  # noqa: ASYNC110 - only pages tell of it
            await asyncio.sleep(0.2)
    for kind in COMPANIONS:
        assert subject.is_right(kind, await ask(server, subject, kind)), (subject.name, kind)


def plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
