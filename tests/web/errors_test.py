"""What the server says to what it does not serve: in words, with a request id, and without giving anything away."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import pytest

from proxy.core import policy
from tests.builders import build_wheel
from tests.web.server import JSON, TEXT
from tests.web.uploads import publish

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.web.server import Answer, Server

BROWSER = f"{TEXT},application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
WHEEL = build_wheel("demo-pkg", "1.0")
LINK = f"/files/{WHEEL.sha256}/{WHEEL.filename}"
SECRET = "a secret that no answer tells"


TRICKS = [
    "..",
    "%2e%2e",
    "%252e%252e",
    "..%2f..%2fetc%2fpasswd",
    "..%5c..%5cetc",
    "..\\..\\etc",
    "%00",
    "demo-pkg%00",
    "%2fetc%2fpasswd",
    "C:%5cwindows",
    "%c0%ae%c0%ae",
    "%ff%fe",
    "%u002e",
    "%",
    "%zz",
    "demo-pkg.",
    "demo-pkg%20",
    "%20",
    "nul",
    "CON",
    "%0d%0aX-Evil:%20yes",
    "%E2%80%AE",
    "\xff",
    "a" * 7000,
    "javascript:alert(1)",
    "<script>alert(1)</script>",
    ";id",
    "{id}",
    "*",
]
"""What a path may hold that wants to lead out of its place."""


def status_of(answer: bytes) -> int:
    """The status of a raw answer."""
    match = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    assert match, answer
    return int(match[1])


# Routes and methods


async def test_an_unknown_route_is_404_in_gitlabs_words(server: Server) -> None:
    for path in (
        "/nowhere",
        "/simple/demo-pkg/1.0/",
        "/simple//",
        "/simple/simple/demo-pkg/",
        "/legacy/demo",
        "/api/v4/",
        "/api/v4/projects/1/packages/pypi/simple/demo-pkg/x",
        "/api/v4/groups/1/packages/pypi/simple/",
        "/api/v4/projects/default/packages/packages/pypi/simple/",
        "/pypi/demo-pkg/json",
        "/%2Bsimple/demo-pkg/",
        "/api/v4/projects/1/packages/pypi/forward/demo-pkg/x",
    ):
        answer = await server.get(path, Accept=JSON)
        assert (answer.status, answer.told) == (404, {"error": "404 Not Found"}), path
        assert "X-Request-Id" in answer.headers


@pytest.mark.parametrize("path", ["/simple/", "/simple/demo-pkg/", LINK, f"{LINK}.metadata", "/-/health"])
async def test_another_method_is_405_and_names_those_there_are(server: Server, path: str) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
        answer = await server.ask(method, path)
        assert (answer.status, answer.told) == (405, {"error": "405 Method Not Allowed"})
        assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/legacy/", "/api/v4/projects/1/packages/pypi"])
async def test_an_upload_route_is_for_posts(server: Server, path: str) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = await server.ask(method, path)
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_no_page_of_another_site_is_let_in(server: Server) -> None:
    for method in ("GET", "OPTIONS"):
        answer = await server.ask(method, "/simple/", {"Origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(
    "path", ["/simple/", "/simple/demo-pkg/", "/simple/Demo-Pkg", "/simple/nope/", LINK, "/-/health", "/nowhere"]
)
async def test_head_answers_as_get_without_a_body(server: Server, path: str) -> None:
    await publish(server, WHEEL)
    for accept in (JSON, TEXT):
        got, head = await server.get(path, Accept=accept), await server.head(path, Accept=accept)
        assert (head.status, head.body) == (got.status, b"")
        for name, value in head.headers.items():
            assert got.headers[name] == value or name.title() in {"Date", "X-Request-Id"}
        assert got.headers.get("Content-Type") == head.headers.get("Content-Type")


# Path tricks


@pytest.mark.standard(21)
@pytest.mark.parametrize(
    "place",
    [
        "/simple/{}/",
        "/simple/{}",
        "/simple/../{}",
        f"/files/{WHEEL.sha256}/{{}}",
        f"/files/{{}}/{WHEEL.filename}",
        f"/files/{WHEEL.sha256}/{{}}/{WHEEL.filename}",
        "/api/v4/groups/{}/-/packages/pypi/simple/",
        "/api/v4/projects/{}/packages/pypi/simple/demo-pkg/",
        "/{}",
    ],
)
async def test_a_path_trick_finds_nothing(server: Server, index: FakeIndex, place: str) -> None:
    await publish(server, WHEEL)
    for trick in TRICKS:
        path = place.replace("{}", trick)
        request = f"GET {path} HTTP/1.1\r\nHost: {server.netloc}\r\nConnection: close\r\nAccept: {TEXT}\r\n\r\n"
        answer = await server.exchange(request.encode("latin-1"))
        assert 300 <= status_of(answer) < 500, (path, answer)
        assert b"root:" not in answer
        assert b"X-Evil" not in answer
        assert b"<script" not in answer
        assert str(server.data_dir).encode() not in answer
    assert {ask.path for ask in index.requests} <= {"/simple/nul/", "/simple/con/"}


# Words


async def test_a_browser_gets_a_page_with_the_same_words(server: Server) -> None:
    told = await server.get("/simple/nope/", Accept=JSON)
    page = await server.get("/simple/nope/", Accept=BROWSER)
    assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert told.message in page.body.decode()
    for answer in (told, page):
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Accept" in answer.headers["Vary"]


@pytest.mark.standard(94)
async def test_everybody_else_gets_json(server: Server) -> None:
    for accept in ("", "*/*", "application/json", JSON, f"{JSON}, {TEXT};q=0.1", "nonsense"):
        answer = await server.get("/-/nowhere", Accept=accept)
        assert (answer.status, answer.headers["Content-Type"]) == (404, "application/json; charset=utf-8")


async def test_every_answer_has_an_id_of_its_own(server: Server, index: FakeIndex) -> None:
    index.add_built("demo-pkg", WHEEL)
    answers: list[Answer] = [
        await server.get(path, X_Request_Id="chosen by the client")
        for path in (
            "/simple/",
            "/simple/demo-pkg/",
            LINK,
            LINK,
            "/simple/x",
            "/simple/nope/",
            "/nowhere",
            "/-/health",
        )
    ]
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == len(answers)
    assert "chosen by the client" not in ids
    assert not any("Server" in answer.headers for answer in answers)


@pytest.mark.parametrize("accept", [JSON, TEXT])
async def test_the_unforeseen_is_500_and_its_trace_is_in_the_log_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, accept: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(policy, "decide", fail)
    answer = await server.get("/simple/demo-pkg/", Accept=accept)
    assert answer.status == 500
    assert b"500 Internal Server Error" in answer.body
    for told in (answer.body.decode(), answer.reason, str(answer.headers)):
        assert SECRET not in told
        assert "Traceback" not in told
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert answer.headers["X-Request-Id"] in record.getMessage()
    assert record.exc_info


async def test_the_log_has_the_id_of_every_trouble(
    server: Server, index: FakeIndex, caplog: pytest.LogCaptureFixture
) -> None:
    await index.down()
    answer = await server.get("/simple/demo-pkg/")
    assert answer.status == 503
    assert any(answer.headers["X-Request-Id"] in line for line in caplog.messages)


async def test_a_missing_published_file_is_trouble_and_not_absent(server: Server) -> None:
    await publish(server, WHEEL)
    (server.data_dir / "blobs" / WHEEL.sha256[:2] / WHEEL.sha256[2:]).unlink()
    for answer in (await server.get(LINK, Accept=JSON), await server.head(LINK)):
        assert answer.status == 503
        assert str(server.data_dir) not in answer.body.decode()


async def test_the_access_log_tells_neither_query_nor_credentials(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "proxy.access"):
        answer = await server.get(f"/simple/?private_token={SECRET.replace(' ', '+')}", Private_Token=SECRET)
    (line,) = (record.getMessage() for record in caplog.records if record.name == "proxy.access")
    assert f"GET /simple/ {answer.status} " in line
    assert answer.headers["X-Request-Id"] in line
    assert "secret" not in caplog.text
    assert "private_token" not in caplog.text


# What is no HTTP


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"nonsense\r\n\r\n", id="no request line"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", id="tls"),
        pytest.param(b"GET /simple/ HTTP/9.9\r\nHost: x\r\n\r\n", id="another version"),
        pytest.param(b"GET /simple/ HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", id="a giant header"),
        pytest.param(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", id="a giant path"),
        pytest.param(b"GET /simple/ HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n", id="a space in a header's name"),
        pytest.param(b"GET /simple/ HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n", id="nul in a header"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", id="a negative length"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy", id="two lengths"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="length and chunks",
        ),
    ],
)
async def test_what_is_no_request_is_400_and_no_more(server: Server, request_: bytes) -> None:
    answer = await server.exchange(request_)
    assert status_of(answer) in {400, 505}
    assert len(re.findall(rb"HTTP/1\.[01] \d{3}", answer)) == 1  # the rest is not taken for a request of its own
    assert b"Traceback" not in answer
    assert (await server.get("/-/health")).status == 200


@pytest.mark.parametrize(
    "header",
    [
        "Accept",
        "Accept-Encoding",
        "Authorization",
        "Private-Token",
        "Range",
        "If-Range",
        "If-None-Match",
        "Host",
        "Origin",
    ],
)
async def test_no_header_value_is_a_fault_of_the_server(server: Server, header: str) -> None:
    await publish(server, WHEEL)
    host = "" if header == "Host" else "Host: x\r\n"
    for path in ("/simple/demo-pkg/", LINK):
        for value in (b"\xff\xfe", b"\xc3\xa9", b"=?utf-8?q?=00?=", b'"' * 50, b"," * 5000, b"Basic \xff", b""):
            head = f"GET {path} HTTP/1.1\r\nConnection: close\r\n{host}{header}: "
            answer = await server.exchange(head.encode() + value + b"\r\n\r\n")
            assert status_of(answer) < 500, (value, answer)
