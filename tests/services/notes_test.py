from __future__ import annotations

from proxy.services.notes import NoteBoard


def told(board: NoteBoard, key: str) -> list[list[float]]:
    return [list(row) for row in board.notes(0).all(key)]


def test_what_each_process_notes_is_told_to_all() -> None:
    board = NoteBoard(rows=4, width=2, processes=3)
    for process in (0, 2):
        board.notes(process).own("a")[1] = process + 1.0
    assert told(board, "a") == [[0.0, 1.0], [0.0, 3.0]]
    assert told(board, "b") == []


def test_a_key_keeps_its_row() -> None:
    notes = NoteBoard(rows=2, width=1).notes()
    for _ in range(3):
        notes.own("a")[0] += 1.0
    assert [row[0] for row in notes.all("a")] == [3.0]


def test_who_takes_the_place_of_another_goes_on_with_its_notes() -> None:
    board = NoteBoard(rows=2, width=1, processes=2)
    first = board.notes(1)
    first.own("a")[0] = 1.0
    first.own("b")[0] = 2.0
    again = board.notes(1)
    again.own("a")[0] += 10.0
    assert [told(board, key) for key in "ab"] == [[[11.0]], [[2.0]]]
    assert len(again) == 2


def test_the_row_used_longest_ago_makes_room_and_begins_with_nothing() -> None:
    board = NoteBoard(rows=3, width=1)
    notes = board.notes()
    for key in "abc":
        notes.own(key)[0] = 1.0
    notes.own("a")
    assert notes.own("d")[0] == 0.0
    assert [told(board, key) for key in "abcd"] == [[[1.0]], [], [[1.0]], [[0.0]]]
    assert len(notes) == 3


def test_many_keys_are_told_apart() -> None:
    board = NoteBoard(rows=2_000, width=1, processes=2)
    left, right = board.notes(0), board.notes(1)
    for number in range(2_000):
        (left if number % 2 else right).own(str(number))[0] = number
    assert all(told(board, str(number)) == [[number]] for number in range(2_000))
