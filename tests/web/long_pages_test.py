"""Pages that leave in pieces: whole, whoever reads them, however slowly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.fake_index import Status
from tests.web.server import HTML, JSON, forwards_to

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.web.server import MakeServer, Server

PAGE = "/simple/demo-pkg/"
FILES = 5000


@pytest.fixture
async def server(make_server: MakeServer, index: FakeIndex) -> Server:
    files = [
        {
            "filename": f"demo_pkg-1.{number}.tar.gz",
            "url": f"http://{index.files_host}/demo_pkg-1.{number}.tar.gz",
            "hashes": {"sha256": f"{number:064x}"},
        }
        for number in range(FILES)
    ]
    body = json.dumps({"meta": {"api-version": "1.4"}, "name": "demo-pkg", "files": files}).encode()
    index.fault(Status(200, {"Content-Type": JSON}, body), PAGE)
    return await make_server(forwards_to(index))


async def test_all_files_are_there_and_in_order(server: Server) -> None:
    answer = await server.get(PAGE, Accept=JSON)
    assert [file["hashes"]["sha256"] for file in json.loads(answer.body)["files"]] == [
        f"{number:064x}" for number in range(FILES)
    ]
    assert answer.headers["Content-Length"] == str(len(answer.body))


@pytest.mark.parametrize("accept", [JSON, HTML])
async def test_head_tells_what_get_gives(server: Server, accept: str) -> None:
    got = await server.get(PAGE, Accept=accept)
    head = await server.head(PAGE, Accept=accept)
    for header in ("Content-Length", "Content-Type", "ETag"):
        assert head.headers[header] == got.headers[header]
    assert (head.status, head.body) == (200, b"")


async def test_a_connection_goes_on_after_one(server: Server) -> None:
    ask = f"GET {PAGE} HTTP/1.1\r\nHost: x\r\nAccept: {JSON}\r\n".encode()
    answers = await server.exchange(ask + b"\r\n" + ask + b"Connection: close\r\n\r\n")
    page = (await server.get(PAGE, Accept=JSON)).body
    assert answers.count(page) == 2
    assert answers.endswith(page)


async def test_a_client_that_leaves_stops_nobody(server: Server) -> None:
    page = (await server.get(PAGE, Accept=JSON)).body
    ask = f"GET {PAGE} HTTP/1.1\r\nHost: x\r\nAccept: {JSON}\r\n\r\n".encode()
    for _ in range(3):
        await server.leave_after(ask)
    assert (await server.get(PAGE, Accept=JSON)).body == page
