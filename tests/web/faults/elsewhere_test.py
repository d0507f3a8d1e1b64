"""What other index proxies lose, one loss a test: each docstring says what happens elsewhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.fake_index import Hang, HtmlError, ShorterPage, Status, Truncated, WrongBytes
from tests.web.faults.subjects import COMPANIONS, Kind, add_subject, ask, unverified
from tests.web.faults.verdict import is_error
from tests.web.server import JSON, eventually, forwards_to, kept_by

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex, Fault
    from tests.web.faults.subjects import Subject
    from tests.web.server import MakeServer, Server

ALWAYS_ASK = '[cache]\npage_ttl = "0s"\n'
NOTHING = {"blobs": 0, "parts": 0}


@pytest.fixture
def subject(index: FakeIndex) -> Subject:
    return add_subject(index, "demo")


async def test_an_unseen_page_behind_a_503_is_a_503(server: Server, index: FakeIndex, subject: Subject) -> None:
    """Elsewhere an empty 404, on which a resolver moves on to the next index, or a 500 with a trace."""
    index.fault(Status(503))
    answer = await server.get(subject.page, Accept=JSON)
    assert answer.status == 503
    assert answer.message


async def test_the_trouble_with_an_unseen_page_is_not_remembered(
    server: Server, index: FakeIndex, subject: Subject
) -> None:
    """Elsewhere the 404 in its place is believed for another minute after the upstream is well again."""
    trouble = index.fault(Status(503))
    assert (await server.get(subject.page)).status == 503
    index.clear_faults(trouble)
    assert subject.is_right(Kind.PAGE, await ask(server, subject, Kind.PAGE))


@pytest.mark.parametrize("fault", [Status(500), HtmlError(), Status(200, {"Content-Type": "text/html"}, b"")])
async def test_an_error_does_not_empty_a_page(
    make_server: MakeServer, index: FakeIndex, subject: Subject, fault: Fault
) -> None:
    """Elsewhere an error page with status 200 is read as a page of no files, and a 500 is passed on."""
    server = await make_server(forwards_to(index) + ALWAYS_ASK)
    await server.page(subject.page)
    index.fault(fault, subject.source(Kind.PAGE))
    for _ in range(2):
        assert subject.is_right(Kind.PAGE, await ask(server, subject, Kind.PAGE))


@pytest.mark.parametrize("fault", [WrongBytes(), WrongBytes(at=0), HtmlError(b"<html>" + b"sorry" * 5000)])
async def test_wrong_bytes_are_never_kept(server: Server, index: FakeIndex, subject: Subject, fault: Fault) -> None:
    """Elsewhere an error's body is cached as a wheel, and no hash is looked at before it is served for good."""
    rules = [index.fault(fault, subject.source(kind)) for kind in (Kind.FILE, Kind.METADATA)]
    for kind in (Kind.FILE, Kind.METADATA):
        assert not subject.is_right(kind, await ask(server, subject, kind))
    await eventually(lambda: kept_by(server.data_dir) == NOTHING)
    for rule in rules:
        index.clear_faults(rule)
    for kind in COMPANIONS:
        assert subject.is_right(kind, await ask(server, subject, kind))
    assert unverified(server.data_dir, [subject]) == []


async def test_a_download_that_failed_is_tried_again_by_the_next_request(
    server: Server, index: FakeIndex, subject: Subject
) -> None:
    """Elsewhere the dead download stays in a table, and the file is never cached again before a restart."""
    index.fault(Status(500), subject.source(Kind.FILE))
    answer = await ask(server, subject, Kind.FILE)
    assert answer
    assert is_error(answer)
    index.clear_faults()
    index.clear_requests()
    for _ in range(2):
        assert subject.is_right(Kind.FILE, await ask(server, subject, Kind.FILE))
    assert index.count("GET", subject.source(Kind.FILE)) == 1


async def test_a_hanging_upstream_is_waited_for_once_and_not_by_each_client(
    make_server: MakeServer, index: FakeIndex, subject: Subject
) -> None:
    """Elsewhere each client waits 30 s for the stale page."""
    server = await make_server(forwards_to(index, page_timeout='"1s"') + ALWAYS_ASK)
    await server.page(subject.page)
    hang = index.fault(Hang(), subject.source(Kind.PAGE))
    answers = await asyncio.gather(*(ask(server, subject, Kind.PAGE) for _ in range(20)))
    answers += [await ask(server, subject, Kind.PAGE) for _ in range(20)]
    assert all(subject.is_right(Kind.PAGE, answer) for answer in answers)
    assert hang.arrived == 1


async def test_pages_and_files_outlive_a_restart_while_the_upstream_is_down(
    make_server: MakeServer, index: FakeIndex, subject: Subject
) -> None:
    """Elsewhere pages are held in memory alone."""
    server = await make_server(forwards_to(index) + ALWAYS_ASK)
    kept = (Kind.FILE, Kind.METADATA, Kind.IN_WHEEL, Kind.PAGE)
    for kind in kept:
        await ask(server, subject, kind)
    await server.close()
    await index.down()
    server = await make_server(forwards_to(index) + ALWAYS_ASK)
    for kind in kept:
        assert subject.is_right(kind, await ask(server, subject, kind))


async def test_the_end_of_a_download_is_the_beginning_of_the_cached_file(
    server: Server, index: FakeIndex, subject: Subject
) -> None:
    """Elsewhere who asks between the last byte and the entry in the cache causes a second download."""
    for _ in range(20):
        assert subject.is_right(Kind.FILE, await ask(server, subject, Kind.FILE))
    assert index.count("GET", subject.source(Kind.FILE)) == 1


async def test_metadata_is_kept_without_its_file(server: Server, index: FakeIndex, subject: Subject) -> None:
    """Elsewhere each request for metadata goes to the upstream until the wheel itself is cached."""
    for _ in range(5):
        assert subject.is_right(Kind.METADATA, await ask(server, subject, Kind.METADATA))
    assert index.count("GET", subject.source(Kind.METADATA)) == 1
    assert index.count("GET", subject.source(Kind.FILE)) == 0


async def test_a_head_or_a_range_of_a_cold_file_does_not_fetch_the_whole(
    server: Server, index: FakeIndex, subject: Subject
) -> None:
    """Elsewhere either pulls the whole file before it is answered."""
    link = subject.path(Kind.FILE)
    assert (await server.head(link)).headers["Content-Length"] == str(len(subject.wheel.data))
    part = await server.get(link, Range="bytes=100-199")
    assert (part.status, part.body) == (206, subject.wheel.data[100:200])
    assert index.bytes_sent(subject.source(Kind.FILE)) < len(subject.wheel.data)


async def test_a_page_that_was_cut_short_is_no_shorter_page(
    make_server: MakeServer, index: FakeIndex, subject: Subject
) -> None:
    """Elsewhere the files behind the cut are gone from an HTML page, and with them from the cache."""
    server = await make_server(forwards_to(index) + ALWAYS_ASK)
    await server.page(subject.page)
    index.fault(Truncated(), subject.source(Kind.PAGE))
    assert subject.is_right(Kind.PAGE, await ask(server, subject, Kind.PAGE))


async def test_what_was_removed_upstream_is_no_longer_served_from_the_cache(
    make_server: MakeServer, index: FakeIndex, subject: Subject
) -> None:
    """Elsewhere a file's address opens the cache whatever the page says by now."""
    server = await make_server(forwards_to(index) + ALWAYS_ASK)
    for kind in Kind:
        await ask(server, subject, kind)
    index.fault(ShorterPage(keep=0), subject.source(Kind.PAGE))
    assert (await server.page(subject.page)).filenames == []
    for kind in COMPANIONS:
        answer = await ask(server, subject, kind)
        assert answer
        assert answer.status == 404, kind


async def test_a_link_that_turns_to_another_host_closes_the_file(
    make_server: MakeServer, index: FakeIndex, subject: Subject
) -> None:
    """Elsewhere a page may send the server anywhere: to the cloud's own address, to what listens beside it."""
    server = await make_server(forwards_to(index) + ALWAYS_ASK)
    for kind in Kind:
        await ask(server, subject, kind)
    for link in ("http://169.254.169.254/x.whl", "file:///etc/passwd", "http://localhost:22/x.whl"):
        index.add_file("demo", subject.wheel.filename, subject.wheel.data, link=link)
        assert (await server.page(subject.page)).filenames == [subject.bare.filename]
        answer = await ask(server, subject, Kind.FILE)
        assert answer
        assert answer.status == 404


async def test_errors_say_what_is_wrong_and_not_where(server: Server, index: FakeIndex, subject: Subject) -> None:
    """Elsewhere a trace, or the upstream's address with its password."""
    index.fault(Status(500))
    answer = await server.get(subject.page)
    assert is_error(answer)
    assert index.pages_host not in answer.message
    assert "Traceback" not in answer.body.decode()
