"""What stands when time passes, the upstream changes its mind, or the server restarts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.fake_index import Gate
from tests.web.server import JSON, forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex, File
    from tests.web.server import Answer, MakeServer, Server

PAGE = "/simple/demo-pkg/"
ALWAYS_ASK = '[cache]\npage_ttl = "0s"\nnegative_ttl = "0s"\n'


@pytest.fixture
def file(index: FakeIndex) -> File:
    return index.add_wheel("demo-pkg", "1.0", size_padding=20_000)


def link(file: File) -> str:
    return f"/files/{file.sha256}/{file.filename}"


async def ask(server: Server) -> Answer:
    return await server.get(PAGE, Accept=JSON)


# Fresh and expired


async def test_a_page_is_asked_for_once_while_it_is_fresh(server: Server, index: FakeIndex, file: File) -> None:
    told = [(await ask(server)).headers["Cache-Status"] for _ in range(2)]
    assert told[0] == "pypi-sidecar; fwd=miss; stored"
    assert told[1].startswith("pypi-sidecar; hit; ttl=")
    assert (await server.get(link(file))).status == 200
    assert index.count("GET", PAGE) == 1


async def test_an_expired_page_is_revalidated(make_server: MakeServer, index: FakeIndex, file: File) -> None:
    server = await make_server(forwards_to(index) + ALWAYS_ASK)
    first = await ask(server)
    second = await ask(server)
    assert (second.body, second.headers["Cache-Status"]) == (first.body, "pypi-sidecar; fwd=stale")
    assert index.requests[-1].headers["If-None-Match"]
    assert index.requests[-1].headers["Accept"] == index.requests[0].headers["Accept"]
    added = index.add_wheel("demo-pkg", "2.0")
    assert (await ask(server)).page.filenames == [file.filename, added.filename]


@pytest.mark.standard(61)
async def test_many_who_ask_for_a_page_at_once_cause_one_request(server: Server, index: FakeIndex, file: File) -> None:
    gate = index.fault(Gate(after=None), PAGE)
    asking = [asyncio.create_task(ask(server)) for _ in range(50)]
    await gate.waiting()
    gate.open()
    assert {tuple(answer.page.filenames) for answer in await asyncio.gather(*asking)} == {(file.filename,)}
    assert index.count("GET", PAGE) == 1


async def test_a_page_is_served_while_it_is_asked_for_again_where_the_config_allows(
    make_server: MakeServer, index: FakeIndex, file: File
) -> None:
    server = await make_server(forwards_to(index) + ALWAYS_ASK + 'stale_while_revalidate = "1h"\n')
    await ask(server)
    gate = index.fault(Gate(after=None), PAGE)
    added = index.add_wheel("demo-pkg", "2.0")
    answer = await ask(server)
    assert answer.page.filenames == [file.filename]
    assert "detail=stale-while-revalidate" in answer.headers["Cache-Status"]
    await gate.waiting()
    gate.open()
    async with asyncio.timeout(10):
        while added.filename not in (await ask(server)).page.filenames:  # noqa: ASYNC110 - only pages tell of it
            await asyncio.sleep(0.01)


# Absent


@pytest.mark.standard(67)
async def test_an_absent_name_is_believed_for_a_while(server: Server, index: FakeIndex) -> None:
    assert [(await ask(server)).status for _ in range(3)] == [404] * 3
    assert index.count("GET", PAGE) == 1


async def test_a_404_replaces_a_page_and_closes_its_files(
    make_server: MakeServer, index: FakeIndex, file: File
) -> None:
    server = await make_server(forwards_to(index) + ALWAYS_ASK)
    assert (await server.get(link(file))).body == file.data
    index.remove("demo-pkg")
    assert (await ask(server)).status == 404
    assert (await server.get(link(file))).status == 404
    await index.down()
    assert (await ask(server)).status == 503


@pytest.mark.standard(73)
async def test_what_a_page_no_longer_lists_is_no_longer_served(
    make_server: MakeServer, index: FakeIndex, file: File
) -> None:
    server = await make_server(forwards_to(index) + ALWAYS_ASK)
    other = index.add_wheel("demo-pkg", "2.0")
    for each in (file, other):
        assert (await server.get(link(each))).body == each.data
    index.remove_file(file)
    for path in (link(file), f"{link(file)}.metadata"):
        assert (await server.get(path)).status == 404
        assert (await server.get(path, Range="bytes=0-9")).status == 404
    assert (await server.get(link(other))).status == 200
    index.set_status("demo-pkg", "quarantined", "malware")
    page = (await ask(server)).page
    assert (page.files, page.project_status.status, page.project_status.reason) == ((), "quarantined", "malware")
    assert (await server.get(link(other))).status == 404


async def test_a_file_that_changed_under_its_name_is_the_one_that_the_page_lists(
    make_server: MakeServer, index: FakeIndex, file: File
) -> None:
    server = await make_server(forwards_to(index) + ALWAYS_ASK)
    assert (await server.get(link(file))).body == file.data
    changed = index.add_file("demo-pkg", file.filename, b"other bytes")
    assert (await server.get(link(changed))).body == b"other bytes"
    assert (await server.get(link(file))).status == 404


# Restarts


@pytest.mark.standard(68)
async def test_pages_and_files_survive_a_restart_without_the_upstream(
    make_server: MakeServer, index: FakeIndex, file: File
) -> None:
    server = await make_server(forwards_to(index) + ALWAYS_ASK)
    before = await ask(server)
    for path in (link(file), f"{link(file)}.metadata"):
        assert (await server.get(path)).status == 200
    await server.close()
    await index.down()
    server = await make_server(forwards_to(index) + ALWAYS_ASK)
    after = await ask(server)
    assert (after.body, after.headers["ETag"]) == (before.body, before.headers["ETag"])
    assert (await server.get(link(file))).body == file.data
    assert (await server.get(f"{link(file)}.metadata")).body == file.metadata


async def test_the_cache_outlives_a_changed_url(make_server: MakeServer, index: FakeIndex, file: File) -> None:
    server = await make_server(forwards_to(index))
    assert (await server.get(link(file))).body == file.data
    await server.close()
    server = await make_server('[upstreams.pypi]\nurl = "http://127.0.0.1:1/simple/"\n' + ALWAYS_ASK)
    assert (await ask(server)).page.filenames == [file.filename]
    assert (await server.get(link(file))).body == file.data


async def test_a_download_that_a_restart_cut_off_begins_anew(
    make_server: MakeServer, index: FakeIndex, file: File
) -> None:
    server = await make_server(forwards_to(index))
    gate = index.fault(Gate(after=5000), "*.whl", times=1)
    async with server.open("GET", link(file)):
        await gate.waiting()
        await server.close()
    gate.open()
    server = await make_server(forwards_to(index))
    assert list((server.data_dir / "parts").iterdir()) == []
    assert (await server.get(link(file))).body == file.data


# Offline


async def test_offline_nothing_is_asked_and_pages_never_expire(
    make_server: MakeServer, index: FakeIndex, file: File
) -> None:
    server = await make_server(forwards_to(index))
    cold = index.add_wheel("demo-pkg", "2.0")
    assert (await server.get(link(file))).body == file.data
    await server.close()
    index.clear_requests()
    server = await make_server(forwards_to(index) + ALWAYS_ASK + "offline = true\nstale_if_error = '0s'\n")
    assert (await ask(server)).page.filenames == [file.filename, cold.filename]
    assert (await server.get(link(file))).body == file.data
    assert (await server.get("/simple/never-seen/", Accept=JSON)).status == 503
    for answer in (
        await server.get(link(cold)),
        await server.get(link(cold), Range="bytes=0-9"),
        await server.get(f"{link(cold)}.metadata"),
    ):
        assert answer.status == 503
    assert index.requests == []


async def test_offline_uploads_go_on(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(forwards_to(index) + "[cache]\noffline = true\n")
    own = build_wheel("demo-pkg", "1.0")
    await publish(server, own)
    assert (await ask(server)).page.filenames == [own.filename]
    assert index.requests == []
