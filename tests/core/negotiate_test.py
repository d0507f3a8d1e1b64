from __future__ import annotations

import pytest

from proxy.core.errors import NotAcceptable
from proxy.core.negotiate import Encoding, Representation, choose_encoding, choose_representation, prefers_html

V1_JSON = "application/vnd.pypi.simple.v1+json"
V1_HTML = "application/vnd.pypi.simple.v1+html"
LATEST_JSON = "application/vnd.pypi.simple.latest+json"
LATEST_HTML = "application/vnd.pypi.simple.latest+html"
HTML = "text/html"

PIP = f"{V1_JSON}, {V1_HTML}; q=0.1, {HTML}; q=0.01"
UV = f"{V1_JSON}, {V1_HTML};q=0.2, {HTML};q=0.01"
POETRY = f"{V1_JSON}, */*;q=0.1"
UV_PUBLISH = "application/json;q=.9, text/plain;q=.8, text/html;q=.7"
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, Representation.HTML),
        ("", Representation.HTML),
        ("*/*", Representation.HTML),
        (HTML, Representation.HTML),
        (V1_HTML, Representation.HTML_V1),
        (V1_JSON, Representation.JSON),
        (LATEST_HTML, Representation.HTML_V1),
        (LATEST_JSON, Representation.JSON),
        ("Application/VND.pypi.Simple.v1+JSON", Representation.JSON),
    ],
)
def test_one_media_range(accept: str | None, expected: Representation) -> None:
    assert choose_representation(accept, None) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (PIP, Representation.JSON),
        (UV, Representation.JSON),
        (POETRY, Representation.JSON),
        (UV_PUBLISH, Representation.HTML),
        (FIREFOX, Representation.HTML),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", Representation.HTML),  # Java's own
    ],
)
def test_what_clients_send(accept: str, expected: Representation) -> None:
    assert choose_representation(accept, None) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (f"{V1_JSON};q=0.1, {HTML};q=0.9", Representation.HTML),
        (f"{V1_JSON};q=0.9, {HTML};q=0.1", Representation.JSON),
        (f"{HTML};q=1.000, {V1_JSON};q=0.999", Representation.HTML),
        (f"{V1_JSON};Q=0.1, {HTML};q=0.2", Representation.HTML),
        (f"{V1_JSON};q=0.9, {V1_JSON};q=0.1, {HTML};q=0.5", Representation.JSON),
        (f"{V1_JSON};charset=utf-8;q=0.1, {HTML};q=0.2", Representation.HTML),
        (f"{V1_JSON}\t;\tq=0.1 ,{HTML};q=0.2", Representation.HTML),
    ],
)
def test_the_highest_q_wins(accept: str, expected: Representation) -> None:
    assert choose_representation(accept, None) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (f"{V1_JSON}, {V1_HTML}, {HTML}", Representation.HTML),
        (f"{V1_JSON}, {V1_HTML}", Representation.HTML_V1),
        (f"{V1_JSON};q=0.5, {HTML};q=0.5", Representation.HTML),
        ("application/*", Representation.HTML_V1),
        ("text/*", Representation.HTML),
    ],
)
def test_among_equals_text_html_then_html_then_json(accept: str, expected: Representation) -> None:
    assert choose_representation(accept, None) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (f"{V1_JSON};q=0, */*", Representation.HTML),
        (f"{HTML};q=0, */*", Representation.HTML_V1),
        (f"{HTML};q=0, {V1_HTML};q=0.0, */*;q=0.1", Representation.JSON),
        (f"{HTML};q=0.1, text/*;q=0.9, {V1_JSON};q=0.5", Representation.JSON),
        (f"*/*, {HTML};q=0.1, {V1_HTML};q=0.1", Representation.JSON),
    ],
)
def test_the_most_specific_range_decides(accept: str, expected: Representation) -> None:
    assert choose_representation(accept, None) is expected


@pytest.mark.parametrize(
    "accept",
    [
        "application/xml",
        "application/json",
        "image/*",
        f"{HTML};q=0",
        "*/*;q=0",
        f"{V1_JSON};q=0, {V1_HTML};q=0, {HTML};q=0, */*",
        "application/vnd.pypi.simple.v2+json",
    ],
)
def test_nothing_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable, match=r"406 Not Acceptable.*application/vnd\.pypi\.simple\.v1\+json"):
        choose_representation(accept, None)


@pytest.mark.parametrize(
    "accept", [";;q=x", ",,,", "   ", "q=1", "=;=", f"{V1_JSON};q=high", f"{V1_JSON};q=2", "\0", "é"]
)
def test_a_header_without_a_sound_element_counts_as_absent(accept: str) -> None:
    assert choose_representation(accept, None) is Representation.HTML


@pytest.mark.parametrize(
    "broken", [";;q=x", "text/html;q=high", "text/html;q=-1", "text/html;q=nan", "text/html;q=1.5"]
)
def test_a_malformed_element_is_passed_over(broken: str) -> None:
    assert choose_representation(f"{broken}, {V1_JSON};q=0.3", None) is Representation.JSON


@pytest.mark.parametrize(
    ("format_", "expected"),
    [
        (V1_JSON, Representation.JSON),
        (V1_HTML, Representation.HTML_V1),
        (HTML, Representation.HTML),
        (LATEST_JSON, Representation.JSON),
        ("application/vnd.pypi.simple.v1 json", Representation.JSON),  # an unencoded "+" of the query
        ("TEXT/HTML", Representation.HTML),
    ],
)
def test_format_overrides_accept(format_: str, expected: Representation) -> None:
    assert choose_representation("application/xml", format_) is expected


@pytest.mark.parametrize(
    "format_", ["", "json", "application/json", "*/*", f"{V1_JSON};q=1", "application/vnd.pypi.simple.v2+json"]
)
def test_an_unknown_format_is_not_acceptable(format_: str) -> None:
    with pytest.raises(NotAcceptable, match="`format` is one of"):
        choose_representation(V1_JSON, format_)


def test_content_types_are_concrete() -> None:
    assert [representation.content_type for representation in Representation] == [
        "text/html; charset=utf-8",
        V1_HTML,
        V1_JSON,
    ]


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        (None, Encoding.IDENTITY),
        ("", Encoding.IDENTITY),
        ("identity", Encoding.IDENTITY),
        ("gzip, deflate", Encoding.GZIP),  # pip
        ("gzip, deflate, zstd", Encoding.ZSTD),  # uv
        ("gzip, deflate, br, zstd", Encoding.ZSTD),
        ("GZip", Encoding.GZIP),
        ("x-gzip", Encoding.GZIP),
        ("gzip;q=0, x-gzip", Encoding.IDENTITY),
        ("zstd;q=0.5, gzip", Encoding.GZIP),
        ("zstd;q=0.5, gzip;q=0.5", Encoding.ZSTD),
        ("zstd;q=0, gzip;q=0.001", Encoding.GZIP),
        ("identity, gzip;q=0.5", Encoding.IDENTITY),
        ("identity;q=0.5, gzip;q=0.5", Encoding.GZIP),
        ("*", Encoding.ZSTD),
        ("gzip, *;q=0", Encoding.GZIP),
        ("zstd;q=0, *;q=0.5", Encoding.GZIP),
        ("br, deflate", Encoding.IDENTITY),
        ("gzip;q=0", Encoding.IDENTITY),
        ("identity;q=0, *;q=0", Encoding.IDENTITY),
        ("gzip;q=high", Encoding.IDENTITY),
    ],
)
def test_content_coding(accept_encoding: str | None, expected: Encoding) -> None:
    assert choose_encoding(accept_encoding) is expected


def test_a_token_is_what_content_encoding_says() -> None:
    assert {encoding: encoding.token for encoding in Encoding} == {
        Encoding.ZSTD: "zstd",
        Encoding.GZIP: "gzip",
        Encoding.IDENTITY: "identity",
    }


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (FIREFOX, True),
        (HTML, True),
        (f"{HTML}, */*", True),
        (f"{HTML}, application/json", True),
        (f"{HTML};q=0.9, application/json", False),
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        (f"{HTML};q=0", False),
        (PIP, False),
        (UV, False),
        (UV_PUBLISH, False),
    ],
)
def test_html_for_errors_only_to_who_likes_it_best(accept: str | None, expected: bool) -> None:  # noqa: FBT001
    assert prefers_html(accept) is expected


def test_only_the_first_elements_of_an_endless_header_are_read() -> None:
    assert choose_representation("a/b," * 63 + V1_JSON, None) is Representation.JSON
    with pytest.raises(NotAcceptable):
        choose_representation("a/b," * 25_000 + V1_JSON, None)


def test_an_endless_element_is_passed_over() -> None:
    assert choose_representation(f"{V1_HTML}{';a=b' * 25_000}, {V1_JSON};q=0.1", None) is Representation.JSON
    assert choose_encoding(f"zstd{';' * 100_000}, gzip") is Encoding.GZIP
