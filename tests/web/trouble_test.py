"""An upstream in trouble: what was seen is served, what was not is an error in time, and nothing good is lost."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.fake_index import (
    BrokenGzip,
    Drip,
    Endless,
    GzipBomb,
    Hang,
    HtmlError,
    InvalidJson,
    Redirect,
    RedirectLoop,
    Refuse,
    Status,
    Truncated,
    WrongType,
)
from tests.web.server import JSON, forwards_to

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex, Fault, File
    from tests.web.server import Answer, MakeServer, Server

PAGE = "/simple/demo-pkg/"
ALWAYS_ASK = '[cache]\npage_ttl = "0s"\nnegative_ttl = "0s"\n'
STALE = "detail=stale-if-error"
TROUBLE = {
    "500": Status(500),
    "503": Status(503),
    "429": Status(429, {"Retry-After": "60"}),
    "403": Status(403),
    "410": Status(410),
    "206": Status(206),
    "refused": Refuse(),
    "truncated": Truncated(),
    "truncated chunks": Truncated(chunked=True),
    "an error page": HtmlError(),
    "another type": WrongType(),
    "broken json": InvalidJson(),
    "broken gzip": BrokenGzip(),
    "a bomb": GzipBomb(),
    "json that is no page": Status(200, {"Content-Type": JSON}, b"[]"),
    "another project's page": Status(
        200, {"Content-Type": JSON}, b'{"meta":{"api-version":"1.0"},"name":"other","files":[]}'
    ),
    "another major version": Status(
        200, {"Content-Type": JSON}, b'{"meta":{"api-version":"2.0"},"name":"demo-pkg","files":[]}'
    ),
    "a redirect away": Redirect("http://127.0.0.1:1/simple/demo-pkg/"),
    "a redirect to https": Redirect("https://127.0.0.1/simple/demo-pkg/"),
    "a redirect to a file": Redirect("file:///etc/passwd"),
    "a redirect to no address": Redirect("http://127.0.0.1:99999/"),
    "a redirect to nowhere": Redirect(""),
    "a redirect loop": RedirectLoop(),
}


@pytest.fixture
def file(index: FakeIndex) -> File:
    return index.add_wheel("demo-pkg", "1.0", size_padding=20_000)


def link(file: File) -> str:
    return f"/files/{file.sha256}/{file.filename}"


async def ask(server: Server) -> Answer:
    return await server.get(PAGE, Accept=JSON)


async def check_never_seen(server: Server, index: FakeIndex, name: str, fault: Fault) -> None:
    file = index.add_wheel(name, "1.0")
    page = f"/simple/{name}/"
    rule = index.fault(fault, page)
    for path in (page, link(file)):
        answer = await server.get(path, Accept=JSON)
        assert answer.status in {502, 503}, fault
        assert answer.message
        assert "max-age" not in answer.headers["Cache-Control"]
        assert int(answer.headers["Retry-After"]) > 0
    index.clear_faults(rule)
    assert (await server.page(page)).filenames == [file.filename]


@pytest.mark.standard(67, 71)
async def test_a_name_never_seen_is_an_error_and_not_absent(server: Server, index: FakeIndex) -> None:
    faults = [*TROUBLE.values(), Status(304)]
    await asyncio.gather(
        *(check_never_seen(server, index, f"unseen-{number}", fault) for number, fault in enumerate(faults))
    )


@pytest.mark.standard(68)
@pytest.mark.parametrize("fault", TROUBLE.values(), ids=TROUBLE)
async def test_a_page_once_seen_is_served_stale_and_its_files_with_it(
    make_server: MakeServer, index: FakeIndex, file: File, fault: Fault
) -> None:
    server = await make_server(forwards_to(index) + ALWAYS_ASK)
    assert (await server.get(link(file))).body == file.data
    before = await ask(server)
    index.fault(fault, PAGE)
    for _ in range(2):
        answer = await ask(server)
        assert (answer.status, answer.body) == (200, before.body)
        assert STALE in answer.headers["Cache-Status"]
    assert (await server.get(link(file))).body == file.data


@pytest.mark.parametrize(
    "fault", [Hang(), Hang(after=100), Drip(delay=0.2), Endless()], ids=["silent", "stuck", "drip", "endless"]
)
@pytest.mark.standard(67, 68)
async def test_a_slow_upstream_is_given_up_in_time(make_server: MakeServer, index: FakeIndex, fault: Fault) -> None:
    server = await make_server(forwards_to(index, page_timeout='"1s"') + ALWAYS_ASK)
    seen = index.add_wheel("demo-pkg", "1.0")
    index.add_wheel("never-seen", "1.0")
    await ask(server)
    index.fault(fault, "/simple/*")
    began = time.monotonic()
    stale, unseen = await asyncio.gather(ask(server), server.get("/simple/never-seen/", Accept=JSON))
    assert time.monotonic() - began < 5
    assert stale.page.filenames == [seen.filename]
    assert unseen.status in {502, 503}
    began = time.monotonic()
    assert (await ask(server)).page.filenames == [seen.filename]
    assert time.monotonic() - began < 0.9  # at once: the upstream is left alone for a while


async def test_after_a_failure_the_upstream_is_left_alone_for_a_while(
    make_server: MakeServer, index: FakeIndex, file: File
) -> None:
    server = await make_server(forwards_to(index) + ALWAYS_ASK)
    await ask(server)
    index.fault(Status(503), "/simple/*")
    await ask(server)
    index.clear_requests()
    for _ in range(3):
        assert (await ask(server)).page.filenames == [file.filename]
    assert index.requests == []


async def test_beyond_stale_if_error_a_page_is_an_error_and_cached_files_are_served(
    make_server: MakeServer, index: FakeIndex, file: File
) -> None:
    server = await make_server(forwards_to(index) + ALWAYS_ASK + 'stale_if_error = "0s"\n')
    cold = index.add_wheel("demo-pkg", "2.0")
    assert (await server.get(link(file))).body == file.data
    await index.down()
    for _ in range(2):
        assert (await ask(server)).status == 503
        assert (await server.get(link(file))).body == file.data
        assert (await server.get(link(cold))).status == 503
