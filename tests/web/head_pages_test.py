"""`HEAD` of a page: what is here is told as `GET` tells it, and no page is fetched for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.fake_index import HtmlError, Redirect, Status
from tests.web.server import HTML, JSON, forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.web.server import Answer, MakeServer, Server

PAGE = "/simple/demo-pkg/"
VARYING = {"date", "x-request-id", "cache-status"}


def told(answer: Answer) -> dict[str, str]:
    headers = {header.lower(): value for header, value in answer.headers.items()}
    return {header: value for header, value in headers.items() if header not in VARYING}


@pytest.mark.parametrize("accept", [JSON, HTML])
async def test_one_never_seen_is_asked_for_by_head(server: Server, index: FakeIndex, accept: str) -> None:
    index.add_wheel("demo-pkg", "1.0")
    head = await server.head(PAGE, Accept=accept)
    assert (head.status, head.headers["Cache-Status"]) == (200, "pypi-sidecar; fwd=miss")
    assert [ask.method for ask in index.requests] == ["HEAD"]
    got = await server.get(PAGE, Accept=accept)
    assert len((await server.page(PAGE)).files) == 1
    assert set(told(got)) - set(told(head)) == {"etag", "content-length"}
    assert told(head).items() <= told(got).items()


async def test_its_connection_goes_on(server: Server, index: FakeIndex) -> None:
    index.add_wheel("demo-pkg", "1.0")
    ask = f"HEAD {PAGE} HTTP/1.1\r\nHost: x\r\n".encode()
    answers = await server.exchange(ask + b"\r\n" + ask + b"Connection: close\r\n\r\n")
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert answers.endswith(b"\r\n\r\n")


async def test_one_that_was_seen_is_told_whole(server: Server, index: FakeIndex) -> None:
    index.add_wheel("demo-pkg", "1.0")
    got = await server.get(PAGE)
    head = await server.head(PAGE)
    assert told(head) == told(got)
    assert (await server.head(PAGE, If_None_Match=got.headers["ETag"])).status == 304
    assert index.count() == 1


async def test_an_absence_is_believed(server: Server, index: FakeIndex) -> None:
    assert (await server.head(PAGE)).status == 404
    assert (await server.get(PAGE)).status == 404
    assert [ask.method for ask in index.requests] == ["HEAD"]


@pytest.mark.parametrize("status", [405, 501])
async def test_of_an_upstream_that_answers_no_head_it_is_fetched(
    server: Server, index: FakeIndex, status: int
) -> None:
    index.add_wheel("demo-pkg", "1.0")
    index.fault(Status(status), PAGE, times=1)
    head = await server.head(PAGE)
    assert (head.status, head.headers["Cache-Status"]) == (200, "pypi-sidecar; fwd=miss; stored")
    assert head.headers["ETag"]


@pytest.mark.parametrize(
    ("fault", "status"), [(Status(503), 503), (Status(403), 502), (Redirect("http://127.0.0.2:1/x"), 502)]
)
async def test_trouble_is_no_absence(server: Server, index: FakeIndex, fault: Status | Redirect, status: int) -> None:
    index.add_wheel("demo-pkg", "1.0")
    rule = index.fault(fault, PAGE)
    assert (await server.head(PAGE)).status == status
    index.clear_faults(rule)
    assert (await server.head(PAGE)).status == 200


async def test_what_it_promises_a_page_must_keep(server: Server, index: FakeIndex) -> None:
    index.fault(HtmlError(), PAGE)
    assert (await server.head(PAGE)).status == 200
    assert (await server.get(PAGE)).status == 502


async def test_the_first_upstream_that_has_it_is_told_of(make_server: MakeServer, index: FakeIndex) -> None:
    groups = '[groups."default"]\nid = 1\nupstreams = ["other", "pypi"]\n[projects."default/packages"]\nid = 1\n'
    server = await make_server(forwards_to(index) + forwards_to(index, "other") + groups)
    index.add_wheel("demo-pkg", "1.0")
    index.fault(Status(404), PAGE, times=1)
    assert (await server.head(PAGE)).status == 200
    assert [ask.method for ask in index.requests] == ["HEAD", "HEAD"]


async def test_a_local_name_is_asked_of_nobody(server: Server, index: FakeIndex) -> None:
    await publish(server, build_wheel("demo-pkg", "1.0"))
    assert (await server.head(PAGE)).headers["Cache-Status"] == "pypi-sidecar; detail=local"
    assert index.requests == []
