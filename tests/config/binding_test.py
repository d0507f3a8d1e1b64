from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.config import needs_anonymous_setting
from proxy.core.hosts import is_loopback
from tests.config.samples import TOKEN, load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.8.9.10", "::1", "[::1]", "::ffff:127.0.0.1", "localhost", "LocalHost", "localhost."],
)
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "0.0.0.0",
        "::",
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "128.0.0.1",
        "localhost.evil.org",
        "127.0.0.1.nip.io",
    ],
)
def test_reached_by_others(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("", False),
        ('[server]\nhost = "::1"', False),
        ('[server]\nhost = "0.0.0.0"', True),
        ('[server]\nhost = "0.0.0.0"\n[access]\nanonymous = "none"', False),
        ('[server]\nhost = "0.0.0.0"\n[access]\nanonymous = "publish"', False),
        ('[server]\nhost = "pypi.example.org"\n' + TOKEN, False),
    ],
)
def test_strangers_need_a_word_about_them(tmp_path: Path, text: str, *, needed: bool) -> None:
    assert needs_anonymous_setting(load(tmp_path, text)) is needed
