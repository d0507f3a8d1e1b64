from __future__ import annotations

from datetime import UTC, datetime, timedelta

from proxy.core.names import ProjectName
from proxy.services.absences import Absences, make_absence_board

DEMO = ProjectName("demo")
NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)


def test_what_one_process_heard_last_counts_for_all() -> None:
    board = make_absence_board(2)
    left, right = (Absences(board.notes(number)) for number in range(2))
    assert right.since("pypi", DEMO) is None
    left.note("pypi", DEMO, NOW)
    assert [each.since("pypi", DEMO) for each in (left, right)] == [NOW, NOW]
    right.end("pypi", DEMO, LATER)
    assert [each.since("pypi", DEMO) for each in (left, right)] == [None, None]
    left.note("pypi", DEMO, LATER + timedelta(seconds=1))
    assert right.since("pypi", DEMO) == LATER + timedelta(seconds=1)


def test_names_and_upstreams_are_apart() -> None:
    absences = Absences(make_absence_board(1).notes())
    absences.note("pypi", DEMO, NOW)
    assert absences.since("other", DEMO) is None
    assert absences.since("pypi", ProjectName("six")) is None


def test_a_name_that_was_never_absent_takes_no_room() -> None:
    notes = make_absence_board(1).notes()
    Absences(notes).end("pypi", DEMO, NOW)
    assert len(notes) == 0
