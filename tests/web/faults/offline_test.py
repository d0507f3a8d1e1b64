"""`offline = true` opens no connection, whatever is asked: they are counted where they would arrive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.builders import build_wheel
from tests.web.faults.subjects import Kind, add_subject, ask
from tests.web.faults.verdict import is_error
from tests.web.server import JSON, forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.web.faults.subjects import Subject
    from tests.web.server import Answer, MakeServer, Server

OFFLINE = '[cache]\noffline = true\npage_ttl = "0s"\nnegative_ttl = "0s"\nstale_if_error = "0s"\n'
RANGE = "bytes=0-9"


async def warm(make_server: MakeServer, index: FakeIndex, *subjects: Subject) -> None:
    """A server that saw all of these, and has ended."""
    server = await make_server(forwards_to(index))
    for subject in subjects:
        for kind in Kind:
            assert subject.is_right(kind, await ask(server, subject, kind)), kind
    await server.close()


async def all_ways(server: Server, path: str) -> list[Answer]:
    return [
        await server.get(path, Accept=JSON),
        await server.head(path, Accept=JSON),
        await server.get(path, Accept=JSON, Range=RANGE),
        await server.get(path, Accept=JSON, If_None_Match='"something"'),
    ]


async def test_what_is_cached_is_served_without_a_connection(make_server: MakeServer, index: FakeIndex) -> None:
    subject = add_subject(index, "cached")
    await warm(make_server, index, subject)
    connections = index.connections
    server = await make_server(forwards_to(index) + OFFLINE)
    for kind in (Kind.PAGE, Kind.FILE, Kind.METADATA, Kind.IN_WHEEL):
        assert subject.is_right(kind, await ask(server, subject, kind)), kind
        assert {answer.status for answer in await all_ways(server, subject.path(kind))} <= {200, 206}
    await server.close()
    assert index.connections == connections


async def test_what_is_not_cached_is_an_error_without_a_connection(make_server: MakeServer, index: FakeIndex) -> None:
    seen, unseen = add_subject(index, "seen"), add_subject(index, "unseen")
    server = await make_server(forwards_to(index))
    await server.page(seen.page)
    await server.close()
    connections = index.connections
    server = await make_server(forwards_to(index) + OFFLINE)
    paths = [subject.path(kind) for subject in (seen, unseen) for kind in Kind]
    asked = [path for path in paths if path != seen.page]
    for path in asked:
        got, head, part, conditional = await all_ways(server, path)
        assert [is_error(got), is_error(part), is_error(conditional)] == [True] * 3, path
        assert head.status in {200, 503}, path  # a page that was seen tells what a HEAD asks of its files
        assert got.status == 503, path
    await asyncio.gather(*(server.get(path) for path in asked * 5))
    await server.close()
    assert index.connections == connections


async def test_uploads_and_other_routes_open_no_connection(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(forwards_to(index) + OFFLINE)
    own = build_wheel("own", "1.0")
    await publish(server, own)
    assert (await server.page("/simple/own/")).filenames == [own.filename]
    assert (await server.get(f"/files/{own.sha256}/{own.filename}.metadata")).body == own.metadata
    assert (await server.get("/simple/", Accept=JSON)).projects == ["own"]
    assert (await server.get("/-/readiness")).status == 200
    await server.close()
    assert index.connections == 0


async def test_without_offline_the_same_questions_do_open_connections(
    make_server: MakeServer, index: FakeIndex
) -> None:
    """What the tests above would see."""
    await warm(make_server, index, add_subject(index, "cached"))
    assert index.connections > 0
