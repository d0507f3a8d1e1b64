from __future__ import annotations

import ctypes
import gc
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from proxy.cli import interpreter

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def untouched() -> Iterator[None]:
    """The interpreter of the other tests."""
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*threshold)
    gc.unfreeze()


@pytest.mark.usefixtures("untouched")
def test_what_is_there_when_a_server_starts_is_not_collected_again() -> None:
    interpreter.settle()
    assert gc.get_freeze_count() > 1000
    assert gc.get_threshold()[0] == interpreter.COLLECT_AFTER
    assert sys.getswitchinterval() == pytest.approx(interpreter.SWITCH_INTERVAL)


def test_glibc_is_told_to_give_memory_back(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[int, int] = {}
    libc = SimpleNamespace(mallopt=told.__setitem__)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: libc)
    interpreter.give_memory_back()
    assert told == {-3: 320 * 1024, -8: 1}


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    interpreter.give_memory_back()
