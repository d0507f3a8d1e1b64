"""An upstream that is gone altogether: connections are refused, or never come about."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from tests.web.faults.subjects import Kind, add_subject, ask
from tests.web.faults.verdict import is_error
from tests.web.server import forwards_to

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.fake_index import FakeIndex
    from tests.web.faults.subjects import Subject
    from tests.web.server import MakeServer, Server

ALL_IN_ALL = 10.0
"""Seconds that an answer may take."""
ALWAYS_ASK = '[cache]\npage_ttl = "0s"\nnegative_ttl = "0s"\n'
SHORT = {"connect_timeout": '"1s"', "page_timeout": '"2s"', "read_timeout": '"2s"'}


KEPT: Sequence[Kind] = [kind for kind in Kind if kind is not Kind.PROVENANCE]
"""What outlives a restart."""


@contextmanager
def silence() -> Iterator[str]:
    """`127.0.0.1:PORT` where no connection comes about: nobody accepts, and the queue is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"127.0.0.1:{listening.getsockname()[1]}"


async def cache(server: Server, subject: Subject) -> None:
    for kind in Kind:
        assert subject.is_right(kind, await ask(server, subject, kind)), kind


async def check_stale_and_unseen(server: Server, cached: Subject, unseen: Subject) -> None:
    """What was cached is as it was, what was not is an error, each in time."""
    async with asyncio.timeout(ALL_IN_ALL):
        answers = {kind: asyncio.create_task(ask(server, cached, kind)) for kind in KEPT}
        errors = {kind: asyncio.create_task(ask(server, unseen, kind)) for kind in Kind}
        for kept, answer in answers.items():
            assert cached.is_right(kept, await answer), kept
        for kind, error in errors.items():
            told = await error
            assert told, kind
            assert is_error(told), kind
    page = await answers[Kind.PAGE]
    assert page
    assert "detail=stale-if-error" in page.headers["Cache-Status"]


async def test_an_upstream_that_refuses_connections(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(forwards_to(index, **SHORT) + ALWAYS_ASK)
    cached, unseen = add_subject(index, "cached"), add_subject(index, "unseen")
    await cache(server, cached)
    await index.down()
    await check_stale_and_unseen(server, cached, unseen)
    await index.up()
    await cache(server, unseen)


async def test_an_upstream_to_which_no_connection_comes_about(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(forwards_to(index, **SHORT) + ALWAYS_ASK)
    cached, unseen = add_subject(index, "cached"), add_subject(index, "unseen")
    await cache(server, cached)
    await server.close()
    with silence() as silent:
        there = {"url": f'"http://{silent}/simple/"', "file_hosts": f'["{silent}", "{index.files_host}"]'}
        server = await make_server(forwards_to(index, **SHORT, **there) + ALWAYS_ASK)
        await check_stale_and_unseen(server, cached, unseen)
        await server.close()


async def test_a_file_host_that_refuses_connections_while_pages_come(
    make_server: MakeServer, index: FakeIndex
) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        gone = f"127.0.0.1:{bound.getsockname()[1]}"
        server = await make_server(forwards_to(index, file_hosts=f'["{gone}"]', **SHORT))
        file = index.add_wheel("demo", "1.0", link=f"http://{gone}/demo-1.0-py3-none-any.whl")
        assert (await server.page("/simple/demo/")).filenames == [file.filename]
        link = f"/files/{file.sha256}/{file.filename}"
        for path in (link, f"{link}.metadata"):
            async with asyncio.timeout(ALL_IN_ALL):
                assert is_error(await server.get(path)), path
        assert (await server.page("/simple/demo/")).filenames == [file.filename]
