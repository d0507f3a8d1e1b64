"""Every figure has a place of its own."""

from __future__ import annotations

import pytest

from proxy.core.cells import SECONDS, Layout
from proxy.core.metrics import LAYOUT, REQUESTS, SENT_BYTES, Route, answer_cells


def test_no_two_figures_share_a_cell() -> None:
    taken = [
        cell for family in LAYOUT.families for _, first in family.rows for cell in range(first, first + family.row)
    ]
    assert taken == list(range(LAYOUT.size))


def test_labels_lead_to_the_row_that_is_told_under_them() -> None:
    for family in LAYOUT.families:
        assert [family.cell(*values) for values, _ in family.rows] == [first for _, first in family.rows]


def test_no_figure_can_be_told_twice() -> None:
    names = [family.name for family in LAYOUT.families]
    assert len(set(names)) == len(names)


def test_a_label_value_that_is_not_known_has_no_cell() -> None:
    counter = Layout().counter("c", "", colour=("red",))
    assert counter.cell("red") == 0
    for values in (("blue",), ("red", "red"), ()):
        with pytest.raises(KeyError):
            counter.cell(*values)


def test_the_bounds_of_buckets_go_up() -> None:
    assert list(SECONDS) == sorted(set(SECONDS))


@pytest.mark.parametrize("status", [299, 418, 599])
def test_a_status_that_nobody_foresaw_counts_as_other(status: int) -> None:
    cells = answer_cells(Route.FILE, status, None)
    assert cells.requests == REQUESTS.cell("file", "other", "none")
    assert cells.sent == SENT_BYTES.cell("file", "none")
