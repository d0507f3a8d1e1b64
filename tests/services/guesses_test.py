from __future__ import annotations

import pytest

from proxy.core.errors import TooManyGuesses
from proxy.services.guesses import MAX_ADDRESSES, MAX_GUESSES, Guesses, make_guess_board


def guess_often(guesses: Guesses, address: str = "a", *, start: float = 0.0, step: float = 0.0) -> None:
    for number in range(MAX_GUESSES):
        guesses.check(address, start + number * step)
        guesses.note(address, start + number * step)


def wait_of(guesses: Guesses, now: float, address: str = "a") -> int:
    with pytest.raises(TooManyGuesses) as caught:
        guesses.check(address, now)
    return caught.value.retry_after


def test_so_many_in_a_minute_make_the_next_one_wait_until_the_first_is_a_minute_old() -> None:
    guesses = Guesses()
    guess_often(guesses, start=1000.0, step=1.0)
    assert [wait_of(guesses, now) for now in (1049.5, 1059.0, 1059.5)] == [11, 1, 1]
    guesses.check("a", 1060.0)


def test_the_minute_moves_on_with_each_guess() -> None:
    guesses = Guesses()
    guess_often(guesses, step=1.0)
    guesses.check("a", 60.0)
    guesses.note("a", 60.0)
    assert wait_of(guesses, 60.0) == 1
    guesses.check("a", 61.0)


def test_fewer_in_a_minute_never_wait() -> None:
    guesses = Guesses()
    for number in range(10 * MAX_GUESSES):
        guesses.check("a", number * 1.25)
        guesses.note("a", number * 1.25)


def test_addresses_are_apart() -> None:
    guesses = Guesses()
    guess_often(guesses)
    assert wait_of(guesses, 0.0) == 60
    guesses.check("b", 0.0)


def test_memory_is_bounded_and_those_that_guessed_last_are_remembered() -> None:
    guesses = Guesses()
    guess_often(guesses, "first")
    for number in range(MAX_ADDRESSES - 1):
        guesses.note(str(number), 0.0)
    assert wait_of(guesses, 0.0, "first") == 60
    for number in range(MAX_ADDRESSES):
        guesses.note(f"more {number}", 0.0)
    guesses.check("first", 0.0)
    assert len(guesses._notes) == MAX_ADDRESSES


def test_what_several_processes_hear_adds_up() -> None:
    board = make_guess_board(3)
    crew = [Guesses(board.notes(number)) for number in range(3)]
    for number in range(MAX_GUESSES):
        crew[number % 3].check("a", float(number))
        crew[number % 3].note("a", float(number))
    assert [wait_of(guesses, 50.0) for guesses in crew] == [10, 10, 10]
    again = Guesses(board.notes(1))  # in the place of one that died
    assert wait_of(again, 50.0) == 10
    again.check("a", 60.0)
