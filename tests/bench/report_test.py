"""Tables out of results."""

from __future__ import annotations

import json

import pytest

from tests.bench.catalog import GROWTH, ROWS, TABLE
from tests.bench.report import as_json, figure, fill_in, gaps, growth_tables, main_table
from tests.bench.results import Better, Gap, Goal, Row, Sample, collect, holds

RESULTS = collect(
    [
        *(Sample("six", "pypi-sidecar", value) for value in (3000.0, 9000.0, 4000.0)),
        *(Sample("six", "aiohttp", value) for value in (2000.0, 2500.0, 100.0)),
        Gap("six", "pypiron", "could not be installed"),
        Sample("files/10/warm", "pypi-sidecar", 1234.0),
    ]
)


def test_a_value_is_the_median_of_its_rounds() -> None:
    assert RESULTS.value("six", "pypi-sidecar") == 4000.0
    assert RESULTS.value("six", "pypiron") is None


@pytest.mark.parametrize(
    ("goal", "better", "expected"),
    [
        (Goal(2, "aiohttp"), Better.MORE, True),
        (Goal(2.1, "aiohttp"), Better.MORE, False),
        (Goal(2, "aiohttp"), Better.LESS, True),
        (Goal(3999), Better.LESS, False),
        (Goal(1, "pypiron"), Better.MORE, None),
    ],
)
def test_a_goal_holds_against_a_peer_or_a_number(goal: Goal, better: Better, expected: bool | None) -> None:  # noqa: FBT001
    row = Row("six", "", "", "warm", better)
    assert holds(goal, row, RESULTS, "pypi-sidecar") is expected


def test_the_table_has_measured_rows_and_a_verdict_for_each_goal() -> None:
    head, _, *lines = main_table(RESULTS).splitlines()
    assert head == "| what | unit | pypi-sidecar | aiohttp | pypiron | goal | reached |"
    (line,) = lines
    goals = "≥ 1.5 x aiohttp (is 2.00)<br>≥ 1.3 x pypiron<br>≥ 0.5 x nginx static"
    assert line == f"| warm page six, 18 KB of JSON | requests/s | 4,000 | 2,000 | n/a | {goals} | yes<br>?<br>? |"


def test_what_has_no_value_says_why() -> None:
    assert gaps(RESULTS) == "- pypiron: could not be installed (warm page six, 18 KB of JSON)"


def test_growth_is_a_table_for_what_grows() -> None:
    assert "| 10 | 1,234 |  |" in growth_tables(RESULTS)
    assert "connections" not in growth_tables(RESULTS)


def test_json_has_every_round() -> None:
    six, files = json.loads(as_json(RESULTS, {"cores": "2"}))["rows"]
    assert six["servers"]["pypi-sidecar"] == {"median": 4000.0, "rounds": [3000.0, 9000.0, 4000.0]}
    assert six["missing"] == {"pypiron": "could not be installed"}
    assert six["goals"][0] == {"goal": "≥ 1.5 x aiohttp", "reached": True}
    assert files["row"] == "files/10/warm"


def test_only_what_is_between_marks_is_replaced() -> None:
    document = "a\n<!-- bench: table -->\nold\n<!-- end -->\nb\n<!-- bench: gaps -->\n<!-- end -->\n"
    filled = fill_in(document, {"table": "new", "gaps": "none"})
    assert filled == ("a\n<!-- bench: table -->\nnew\n<!-- end -->\nb\n<!-- bench: gaps -->\nnone\n<!-- end -->\n")
    assert fill_in(filled, {"table": "new", "gaps": "none"}) == filled


@pytest.mark.parametrize(
    ("value", "shown"),
    [(68_712.4, "68,712"), (99.94, "99.9"), (1.0, "1"), (20.0, "20"), (0.02249, "0.0225"), (-0.3, "-0.3")],
)
def test_figures_have_three_digits_that_count(value: float, shown: str) -> None:
    assert figure(value) == shown


def test_rows_are_told_apart_by_key_and_by_title() -> None:
    rows = (*TABLE, *GROWTH)
    assert len(rows) == len(ROWS) == len({row.title for row in rows})
