"""A server that is killed: the next one starts by itself, has what was acknowledged and nothing that is half there."""

from __future__ import annotations

import http.client
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Condition
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.e2e.harness import PATIENCE, eventually, forwards_to
from tests.e2e.wire import ask, check_intact, list_files, list_projects, upload, upload_form
from tests.fake_index import Gate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.builders import BuiltFile
    from tests.e2e.harness import Serve, Server
    from tests.fake_index import ThreadedFakeIndex

NAMES = [f"acme-{number:02}" for number in range(40)]
BUILT = {name: build_wheel(name, "1.0", size_padding=200_000) for name in NAMES}


def parts(server: Server) -> list[Path]:
    return list((server.data_dir / "parts").iterdir())


class Uploads:
    """A crowd of uploads, and who of them was told that it is done."""

    def __init__(self, url: str) -> None:
        self.acknowledged: set[str] = set()
        self._url = url
        self._changed = Condition()

    def send(self, name: str) -> None:
        try:
            reply = upload(self._url, name, "1.0", BUILT[name])
        except (OSError, http.client.HTTPException):
            return  # the server is gone
        assert reply.status == 201, reply
        with self._changed:
            self.acknowledged.add(name)
            self._changed.notify_all()

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.acknowledged) >= count, PATIENCE)


@pytest.mark.parametrize("count", [1, 7, 20])
def test_acknowledged_uploads_are_there_after_a_kill_and_others_whole_or_not_at_all(serve: Serve, count: int) -> None:
    server = serve()
    uploads = Uploads(f"{server.url}legacy/")
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(uploads.send, name) for name in NAMES]
        uploads.wait(count)
        server.kill()
    assert [sent.exception() for sent in running] == [None] * len(NAMES)
    assert len(uploads.acknowledged) < len(NAMES)

    again = serve()
    assert parts(again) == []
    listed = set(list_projects(f"{again.url}simple/"))
    assert listed >= uploads.acknowledged
    for name in NAMES:
        if name in listed:
            check_published(again, name, BUILT[name])
        else:
            assert ask("GET", f"{again.url}simple/{name}/").status == 404


def check_published(server: Server, name: str, built: BuiltFile) -> None:
    (file,) = list_files(f"{server.url}simple/{name}/")
    assert file.sha256 == built.sha256
    check_intact(file)
    assert ask("GET", f"{file.url}.metadata").body == built.metadata


def test_an_upload_that_was_cut_in_the_middle_leaves_nothing_and_can_be_sent_again(serve: Serve) -> None:
    built = build_wheel("demo", "1.0", size_padding=2_000_000)
    server = serve()
    with closing(begin_upload(server, built)):
        eventually(lambda: any(path.stat().st_size for path in parts(server)), what="bytes of the file are on disk")
        server.kill()

    again = serve()
    assert parts(again) == []
    assert ask("GET", f"{again.url}files/{built.sha256}/{built.filename}").status == 404
    assert list_projects(f"{again.url}simple/") == []
    assert upload(f"{again.url}legacy/", "demo", "1.0", built).status == 201
    check_published(again, "demo", built)


def begin_upload(server: Server, built: BuiltFile) -> socket.socket:
    """The connection of an upload whose last bytes have not been sent."""
    content_type, body = upload_form("demo", "1.0", built)
    host, _, port = server.netloc.partition(":")
    connection = socket.create_connection((host, int(port)), timeout=PATIENCE)
    head = f"POST /legacy/ HTTP/1.1\r\nHost: {server.netloc}\r\nContent-Type: {content_type}\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-1000])
    return connection


@pytest.fixture
def gate(upstream: ThreadedFakeIndex) -> Iterator[Gate]:
    """The upstream sends most of a wheel, then waits."""
    upstream.add_wheel("demo", "1.0", size_padding=2_000_000)
    gate = upstream.fault(Gate(after=1_500_000), "*.whl")
    yield gate
    gate.open()


def test_a_download_that_was_cut_in_the_middle_is_never_taken_for_whole(
    serve: Serve, upstream: ThreadedFakeIndex, gate: Gate
) -> None:
    server = serve(forwards_to(upstream))
    (file,) = list_files(f"{server.url}simple/demo/")
    with ThreadPoolExecutor() as pool:
        cut = pool.submit(ask, "GET", file.url)
        gate.block_until_waiting()
        eventually(lambda: any(path.stat().st_size for path in parts(server)), what="bytes of the file are on disk")
        server.kill()
    assert isinstance(cut.exception(), OSError | http.client.HTTPException)

    gate.open()
    upstream.clear_requests()
    again = serve(forwards_to(upstream))
    assert parts(again) == []
    (same,) = list_files(f"{again.url}simple/demo/")
    check_intact(same)
    assert upstream.count("GET", "*.whl") == 1


def test_what_was_cached_before_a_kill_needs_no_upstream_after_it(
    serve: Serve, upstream: ThreadedFakeIndex, gate: Gate
) -> None:
    upstream.add_wheel("six", "1.16.0")
    server = serve(forwards_to(upstream))
    (cached,) = list_files(f"{server.url}simple/six/")
    gate.open()
    check_intact(cached)
    server.kill()
    upstream.down()
    again = serve(forwards_to(upstream))
    (same,) = list_files(f"{again.url}simple/six/")
    check_intact(same)
