"""A page of a hundred thousand files: read, kept and rendered while everybody else is served."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from tests.fake_index import Gate, Status
from tests.web.faults.subjects import Kind, add_subject, ask
from tests.web.faults.verdict import is_error
from tests.web.server import HTML, JSON, forwards_to

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.web.server import MakeServer, Server

pytestmark = pytest.mark.slow

FILES = 100_000
TOO_BIG = 128 * 1024 * 1024
"""Bytes of which no index has a page."""
AT_LEAST = 5
"""Requests that are answered meanwhile; on an idle machine hundreds are."""


def a_large_page(index: FakeIndex) -> bytes:
    """The JSON page of the project `large`."""
    files = [
        {
            "filename": f"large-1.{number}.tar.gz",
            "url": f"http://{index.files_host}/packages/{number:06}/large-1.{number}.tar.gz",
            "hashes": {"sha256": hashlib.sha256(str(number).encode()).hexdigest()},
            "size": number,
            "upload-time": "2024-01-02T03:04:05.000006Z",
        }
        for number in range(FILES)
    ]
    return json.dumps({"meta": {"api-version": "1.1"}, "name": "large", "files": files, "versions": []}).encode()


async def answered_meanwhile(server: Server, index: FakeIndex, task: asyncio.Task[object]) -> int:
    """How many requests of others are answered before the task is done."""
    healthy = add_subject(index, "healthy")
    count = 0
    while not task.done():
        kind = list(Kind)[count % len(Kind)]
        assert healthy.is_right(kind, await ask(server, healthy, kind)), kind
        count += not task.done()
    return count


@pytest.mark.parametrize("accept", [JSON, HTML])
async def test_others_are_served_while_a_large_page_is_read_and_rendered(
    make_server: MakeServer, index: FakeIndex, accept: str
) -> None:
    server = await make_server(forwards_to(index, page_timeout='"60s"'))
    index.fault(Status(200, {"Content-Type": JSON}, a_large_page(index)), "/simple/large/")
    gate = index.fault(Gate(after=None), "/simple/large/")
    large = asyncio.create_task(server.get("/simple/large/", Accept=accept))
    await gate.waiting()
    gate.open()
    assert await answered_meanwhile(server, index, large) >= AT_LEAST
    answer = await large
    assert (answer.status, answer.body.count(b".tar.gz#" if accept == HTML else b'"filename"')) == (200, FILES)


async def test_a_page_that_is_too_big_is_an_error_and_stops_nobody(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(forwards_to(index, page_timeout='"60s"'))
    body = b'{"meta":{"api-version":"1.1"},"name":"large","files":[' + b" " * TOO_BIG + b"]}"
    index.fault(Status(200, {"Content-Type": JSON}, body), "/simple/large/")
    gate = index.fault(Gate(after=None), "/simple/large/")
    large = asyncio.create_task(server.get("/simple/large/", Accept=JSON))
    await gate.waiting()
    gate.open()
    assert await answered_meanwhile(server, index, large) >= AT_LEAST
    assert is_error(await large)
