"""Which form of a page a client gets: by `Accept`, `?format=` and `Accept-Encoding`."""

from __future__ import annotations

import gzip
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.web.server import HTML, JSON, PIP, TEXT
from tests.web.uploads import publish

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.web.server import Server

PLAIN = f"{TEXT}; charset=utf-8"
UV = f"{JSON}, {HTML};q=0.2, {TEXT};q=0.01"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
VARY = {"accept", "accept-encoding"}
DECOMPRESS: Mapping[str | None, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": zstd.decompress,
    None: bytes,
}


@pytest.fixture
async def server(server: Server) -> Server:
    await publish(server, build_wheel("demo-pkg", "1.0"))
    return server


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        pytest.param(None, PLAIN, id="none", marks=pytest.mark.standard(1)),
        pytest.param("", PLAIN, id="empty"),
        pytest.param("*/*", PLAIN, id="any", marks=pytest.mark.standard(2)),
        pytest.param("text/*", PLAIN, id="any text"),
        pytest.param(JSON, JSON, id="json", marks=pytest.mark.standard(3)),
        pytest.param(PIP, JSON, id="pip", marks=pytest.mark.standard(4)),
        pytest.param(UV, JSON, id="uv", marks=pytest.mark.standard(5)),
        pytest.param(f"{JSON}, */*;q=0.1", JSON, id="poetry", marks=pytest.mark.standard(6)),
        pytest.param(TEXT, PLAIN, id="html", marks=pytest.mark.standard(7)),
        pytest.param(HTML, HTML, id="html v1", marks=pytest.mark.standard(8)),
        pytest.param(f"{JSON};q=0.1, {TEXT};q=0.9", PLAIN, id="weights", marks=pytest.mark.standard(9)),
        pytest.param(f"{JSON};q=0, */*", PLAIN, id="not json", marks=pytest.mark.standard(10)),
        pytest.param(JSON.replace("v1", "latest"), JSON, id="latest json", marks=pytest.mark.standard(11)),
        pytest.param(HTML.replace("v1", "latest"), HTML, id="latest html", marks=pytest.mark.standard(11)),
        pytest.param(BROWSER, PLAIN, id="browser"),
    ],
)
async def test_the_representation_is_the_one_that_accept_weighs_most(
    server: Server, accept: str | None, content_type: str
) -> None:
    for path in ("/simple/", "/simple/demo-pkg/"):
        answer = await server.ask("GET", path, None if accept is None else {"Accept": accept})
        assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
        assert answer.body.startswith(b"{" if content_type == JSON else b"<!DOCTYPE html>")


@pytest.mark.standard(12)
@pytest.mark.parametrize("accept", ["application/xml", f"{JSON};q=0, {HTML};q=0, {TEXT};q=0"])
async def test_nothing_acceptable_is_406_and_names_what_there_is(server: Server, accept: str) -> None:
    answer = await server.get("/simple/demo-pkg/", Accept=accept)
    assert answer.status == 406
    assert all(media in answer.message for media in (JSON, HTML, TEXT))


@pytest.mark.standard(13)
async def test_a_malformed_accept_is_no_fault_of_the_server(server: Server) -> None:
    for accept in (";;q=x", ",", f"{JSON};q=nan", "\xff\xfe", "*/*;q=1e999", "a" * 7000, "," * 7000):
        answer = await server.get("/simple/demo-pkg/", Accept=accept)
        assert answer.status in {200, 406}, accept


@pytest.mark.standard(14)
async def test_the_format_parameter_overrides_accept(server: Server) -> None:
    for written in (JSON, JSON.replace("+", "%2B"), JSON.replace("v1", "latest")):
        answer = await server.get(f"/simple/demo-pkg/?format={written}", Accept=TEXT)
        assert answer.headers["Content-Type"] == JSON


async def test_an_unknown_format_is_406(server: Server) -> None:
    assert (await server.get("/simple/demo-pkg/?format=application/xml", Accept=JSON)).status == 406


@pytest.mark.standard(15)
@pytest.mark.parametrize("path", ["/simple/", "/simple/demo-pkg/"])
async def test_every_answer_says_by_what_it_varies(server: Server, path: str) -> None:
    for accept in (JSON, HTML, TEXT):
        whole = await server.get(path, Accept=accept)
        unchanged = await server.get(path, Accept=accept, If_None_Match=whole.headers["ETag"])
        assert (whole.status, unchanged.status) == (200, 304)
        for answer in (whole, unchanged):
            assert {name.strip().lower() for name in answer.headers["Vary"].split(",")} >= VARY


@pytest.mark.standard(46)
async def test_each_form_has_its_own_etag(server: Server) -> None:
    etags = [
        (await server.get("/simple/demo-pkg/", Accept=accept, Accept_Encoding=encoding)).headers["ETag"]
        for accept in (JSON, TEXT)
        for encoding in ("identity", "gzip", "zstd")
    ]
    assert len(set(etags)) == 6


@pytest.mark.standard(53)
@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip, deflate", "gzip"),
        ("gzip, deflate, zstd", "zstd"),
        ("gzip;q=1, zstd;q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("*;q=0", None),
    ],
)
async def test_a_page_is_compressed_where_the_client_asks_for_it(
    server: Server, accepted: str, encoding: str | None
) -> None:
    for accept in (JSON, HTML):
        plain = await server.get("/simple/demo-pkg/", Accept=accept)
        answer = await server.get("/simple/demo-pkg/", Accept=accept, Accept_Encoding=accepted)
        assert answer.headers.get("Content-Encoding") == encoding
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        assert DECOMPRESS[encoding](answer.body) == plain.body


@pytest.mark.standard(53)
async def test_a_file_is_never_compressed(server: Server) -> None:
    built = build_wheel("demo-pkg", "1.0")
    link = await server.link("/simple/demo-pkg/", built.filename)
    for path, data in ((link, built.data), (f"{link}.metadata", built.metadata)):
        answer = await server.get(path, Accept_Encoding="gzip, zstd")
        assert "Content-Encoding" not in answer.headers
        assert answer.body == data
