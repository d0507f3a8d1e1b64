from __future__ import annotations

import pytest

from proxy.core.serials import parse_serial

JSON = "application/vnd.pypi.simple.v1+json"
PAGE = b'{"meta": {"api-version": "1.0", "_last-serial": 17}, "name": "demo", "files": []}'


def test_the_header_counts_before_the_page() -> None:
    assert parse_serial("18", PAGE, JSON) == 18
    assert parse_serial("18", b"", "text/html") == 18


def test_without_a_header_the_json_tells_it() -> None:
    assert parse_serial(None, PAGE, JSON) == 17
    assert parse_serial(None, PAGE, f"{JSON.upper()}; charset=utf-8") == 17


def test_html_tells_none() -> None:
    assert parse_serial(None, b"<!--SERIAL 17-->", "text/html") is None


@pytest.mark.parametrize("header", ["", " ", "-1", "1.5", "1e3", "٣", "many", "9" * 19, "9" * 10_000])
def test_a_header_that_is_no_count_tells_none(header: str) -> None:
    assert parse_serial(header, PAGE, JSON) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"meta": []}',
        b'{"meta": {}}',
        b"{}",
        b'{"meta": {"_last-serial": null}}',
        b'{"meta": {"_last-serial": "17"}}',
        b'{"meta": {"_last-serial": true}}',
        b'{"meta": {"_last-serial": -1}}',
        b'{"meta": {"_last-serial": 1.5}}',
        b'{"meta": {"_last-serial": 9999999999999999999}}',
        b'{"meta": {"_last-serial": ' + b"9" * 5000 + b"}}",
        b'{"meta": {"_last-serial": 17}',
    ],
    ids=lambda body: repr(body[:40]),
)
def test_a_page_without_a_sound_one_tells_none(body: bytes) -> None:
    assert parse_serial(None, body, JSON) is None
