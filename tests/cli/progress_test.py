from __future__ import annotations

import io
import sys

import pytest

from proxy.cli.progress import in_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_lines_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(in_progress(range(256), "reading", quiet=False)) == list(range(256))
    assert capsys.readouterr().err.splitlines() == [
        f"reading: {share}%" for share in (12, 25, 37, 50, 62, 75, 87, 100)
    ]


def test_a_short_way_has_a_line_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(in_progress("ab", "reading", quiet=False)) == ["a", "b"]
    assert capsys.readouterr().err == "reading: 50%\nreading: 100%\n"
    assert list(in_progress("", "reading", quiet=False)) == []


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert list(in_progress("abcd", "reading", quiet=False)) == ["a", "b", "c", "d"]
    assert "reading" in terminal.getvalue()
    assert "\r" in terminal.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_who_wants_quiet_gets_it(monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO]) -> None:
    monkeypatch.setattr(sys, "stderr", told := stream())
    assert len(list(in_progress(range(8), "reading", quiet=True))) == 8
    assert told.getvalue() == ""
