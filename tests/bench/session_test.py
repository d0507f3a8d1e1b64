"""Servers taking turns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.bench.bench import PARTS
from tests.bench.catalog import ROWS
from tests.bench.processes import NotAvailable, Process
from tests.bench.results import Gap, Sample
from tests.bench.servers import BareAiohttp, NginxCache, NginxStatic, Place, Product
from tests.bench.session import Fleet, Options, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.servers import Server

ROOT = Path(__file__).parents[2]
PLACE = cast("Place", None)
A, B, C = NginxStatic(PLACE), NginxCache(PLACE), BareAiohttp(PLACE)


class _Idle:
    def empty_log(self) -> None:
        """It has none."""


IDLE = cast("Process", _Idle())


def test_servers_take_turns() -> None:
    turns: list[str] = []

    def turn(server: Server, _: Process, number: int) -> Sequence[float]:
        turns.append(f"{server.name} {number}")
        return [float(number)]

    found = list(Fleet({A: IDLE, B: IDLE}, {}, rounds=2).compare(["six"], turn))
    assert turns == ["nginx static 0", "nginx cache 0", "nginx static 1", "nginx cache 1"]
    assert found[-1] == Sample("six", "nginx cache", 1.0)


def test_what_fails_leaves_the_rounds_and_says_why() -> None:
    def turn(server: Server, _: Process, number: int) -> Sequence[float]:
        if server is B and number == 1:
            raise ConnectionResetError("gone")
        return [1.0, 2.0]

    fleet = Fleet({A: IDLE, B: IDLE}, {C: "could not be installed"}, rounds=3)
    found = list(fleet.compare(["six", "cpu"], turn))
    assert found.count(Sample("six", "nginx static", 1.0)) == 3
    assert found.count(Sample("cpu", "nginx cache", 2.0)) == 1
    assert {each for each in found if isinstance(each, Gap)} == {
        Gap(row, server, why)
        for row in ("six", "cpu")
        for server, why in (("nginx cache", "ConnectionResetError: gone"), ("aiohttp", "could not be installed"))
    }


def test_what_is_not_available_is_said_in_its_own_words() -> None:
    def turn(*_: object) -> Sequence[float]:
        raise NotAvailable("no gzip")

    assert list(Fleet({A: IDLE}, {}, rounds=3).compare(["six"], turn)) == [Gap("six", "nginx static", "no gzip")]


class _Grown:
    def __init__(self, peak: int) -> None:
        self._peak = peak

    def note_peak(self) -> int:
        return self._peak


def test_the_peak_is_the_highest_of_what_ran_with_one_worker() -> None:
    nothing = cast("Any", None)
    session = Session(Options(), nothing, PLACE, nothing, nothing, [], nothing)
    for workers, peak in ((1, 40), (1, 70), (1, 50), (2, 150)):
        session.note_peak(Product(PLACE, workers), cast("Process", _Grown(peak)))
    assert session.peaks == {"pypi-sidecar": 70}


def test_a_pattern_chooses_rows_and_the_parts_that_measure_them() -> None:
    options = Options(only="six*")
    assert [row for row in ROWS if options.wants(row)] == ["six", "six-gzip", "six-304"]
    assert [part for part in PARTS if options.wants_part(part)] == ["warm"]


def test_several_patterns_choose_the_rows_of_each() -> None:
    options = Options(only="six,large-?")
    assert [row for row in ROWS if options.wants(row)] == ["six", "large-1", "large-8"]
    assert options.unknown() == []


def test_a_pattern_of_no_row_is_named() -> None:
    assert Options(only="six,devpi*").unknown() == ["devpi*"]


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--only", "devpi*"], b"no row is called devpi*"), (["--only", "six", "--doc"], b"leave out --only")],
)
def test_what_would_measure_nothing_or_write_half_a_document_is_refused(options: list[str], told: bytes) -> None:
    command = [sys.executable, "-m", "tests.bench", *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert (ended.returncode, told in ended.stderr) == (2, True)


def test_each_row_has_a_part_that_measures_it() -> None:
    assert {row.part for row in ROWS.values()} == set(PARTS)
