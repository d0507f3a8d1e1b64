"""Clients that leave and upstreams that lie, in the middle of a file. The server takes neither as its own fault: it
stops without a trace in its log, which every `Server` checks.
"""

from __future__ import annotations

import http.client
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.builders import build_wheel
from tests.e2e.harness import PATIENCE, eventually, forwards_to
from tests.e2e.wire import ListedFile, ask, check_intact, list_files, upload
from tests.fake_index import Gate, Truncated, WrongBytes

if TYPE_CHECKING:
    from tests.e2e.harness import Serve, Server
    from tests.fake_index import ThreadedFakeIndex
    from tests.fake_index.faults import Fault

BIG = 8_000_000
"""Bytes: more than the kernel takes off the server's hands while nobody reads."""


def begin_download(server: Server, file: ListedFile) -> http.client.HTTPConnection:
    """The connection of a client that has read the first bytes of a file."""
    connection = http.client.HTTPConnection(server.netloc, timeout=PATIENCE)
    connection.request("GET", urlsplit(file.url).path)
    assert connection.getresponse().read(1000)
    return connection


def test_a_client_that_leaves_does_not_stop_the_download(serve: Serve, upstream: ThreadedFakeIndex) -> None:
    upstream.add_wheel("demo", "1.0", size_padding=BIG)
    gate = upstream.fault(Gate(after=BIG // 2), "*.whl")
    server = serve(forwards_to(upstream))
    (file,) = list_files(f"{server.url}simple/demo/")
    with closing(begin_download(server, file)):
        gate.block_until_waiting()
    gate.open()
    check_intact(file)
    assert upstream.count("GET", "*.whl") == 1
    server.terminate()


def test_a_client_that_leaves_in_the_middle_of_a_stored_file_is_no_trouble(serve: Serve) -> None:
    server = serve()
    upload(f"{server.url}legacy/", "demo", "1.0", build_wheel("demo", "1.0", size_padding=BIG))
    (file,) = list_files(f"{server.url}simple/demo/")
    begin_download(server, file).close()
    check_intact(file)
    eventually(lambda: server.stderr.count(f"GET {urlsplit(file.url).path}") == 2, what="both are in the access log")
    server.terminate()


def test_a_connection_that_breaks_is_taken_up_again(serve: Serve, upstream: ThreadedFakeIndex) -> None:
    upstream.add_wheel("demo", "1.0", size_padding=BIG)
    upstream.fault(Truncated(), "*.whl", times=1)
    server = serve(forwards_to(upstream))
    (file,) = list_files(f"{server.url}simple/demo/")
    check_intact(file)
    assert upstream.bytes_sent("*.whl") < BIG * 1.25, "what was under way may be lost, no more"
    server.terminate()


@pytest.mark.parametrize("fault", [WrongBytes(), WrongBytes(at=1000)], ids=["last", "early"])
def test_no_client_gets_a_whole_file_that_is_wrong(serve: Serve, upstream: ThreadedFakeIndex, fault: Fault) -> None:
    upstream.add_wheel("demo", "1.0", size_padding=BIG)
    upstream.fault(fault, "*.whl", times=1)
    server = serve(forwards_to(upstream))
    (file,) = list_files(f"{server.url}simple/demo/")
    with pytest.raises((http.client.HTTPException, OSError)):
        ask("GET", file.url)
    eventually(lambda: not any((server.data_dir / "parts").iterdir()), what="nothing of it is kept")
    check_intact(file)
    server.terminate()
