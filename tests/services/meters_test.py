"""Counting in memory that processes share."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.cache_status import Source
from proxy.core.cells import SECONDS, SUM
from proxy.core.metrics import CONNECTIONS, DURATION, REQUESTS, SENT_BYTES, UPLOADS, Route
from proxy.services.meters import Board

HIT = (Route.FILE, 200, Source.HIT)


def read_row(board: Board, first: int, size: int = 1) -> list[float]:
    return list(board.read()[first : first + size])


def test_an_answer_counts_once_with_its_seconds_and_its_bytes() -> None:
    board = Board(0)
    meters = board.meters()
    meters.answered(meters.cells_of(*HIT), 0.02, 1000)
    cells = board.read()
    assert cells[REQUESTS.cell("file", "200", "hit")] == 1
    assert cells[SENT_BYTES.cell("file", "hit")] == 1000
    row = cells[DURATION.cell("file") :][: DURATION.row]
    assert (row[SECONDS.index(0.025)], sum(row[:SUM]), row[SUM]) == (1, 1, 0.02)
    assert sum(cells) == 1 + 1000 + 1 + 0.02


@pytest.mark.parametrize(("seconds", "bucket"), [(0, 0), (SECONDS[0], 0), (SECONDS[-1], -1), (1e9, None)])
def test_a_bucket_holds_its_upper_bound(seconds: float, bucket: int | None) -> None:
    board = Board(0)
    board.meters().observe(DURATION.cell("file"), seconds)
    row = read_row(board, DURATION.cell("file"), SUM)
    assert row.index(1) == (len(SECONDS) if bucket is None else bucket % len(SECONDS))


@given(st.lists(st.floats(0, 1e6)))
def test_a_histogram_agrees_with_its_requests(durations: list[float]) -> None:
    board = Board(0)
    meters = board.meters()
    for seconds in durations:
        meters.answered(meters.cells_of(*HIT), seconds, 0)
    row = read_row(board, DURATION.cell("file"), DURATION.row)
    assert sum(row[:SUM]) == read_row(board, REQUESTS.cell("file", "200", "hit"))[0] == len(durations)
    assert row[SUM] == pytest.approx(sum(durations))


def test_what_processes_count_adds_up() -> None:
    board = Board(0, processes=3)
    for process in range(3):
        board.meters(process).add(UPLOADS.cell(), process + 1)
    assert read_row(board, UPLOADS.first) == [6]


def test_who_takes_the_place_of_a_process_goes_on_counting_and_holds_nothing_open() -> None:
    board = Board(0, processes=2)
    other, dead = board.meters(0), board.meters(1)
    for meters in (other, dead):
        meters.add(UPLOADS.cell())
        meters.set(CONNECTIONS.cell(), 5)
    heir = board.meters(1)
    assert read_row(board, CONNECTIONS.first) == [5]
    heir.add(UPLOADS.cell())
    assert read_row(board, UPLOADS.first) == [3]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child only counts: no lock, no thread of ours
def test_a_forked_process_counts_where_its_parent_reads() -> None:
    board = Board(0, processes=2)
    if (child := os.fork()) == 0:
        board.meters(1).add(UPLOADS.cell(), 2)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    board.meters(0).add(UPLOADS.cell())
    assert read_row(board, UPLOADS.first) == [3]
