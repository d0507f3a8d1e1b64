"""Hundreds of clients that send or read next to nothing, and one that means it: the one is served as if alone.

Elsewhere each of them holds one of a few dozen threads until the last is gone.
"""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING

from tests.builders import build_wheel
from tests.e2e.harness import PATIENCE, forwards_to
from tests.e2e.wire import ask, check_intact, list_files, upload, upload_form
from tests.fake_index import Gate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.e2e.harness import Serve, Server
    from tests.fake_index import ThreadedFakeIndex

OF_EACH = 60
STEP = 0.2
"""Seconds between two bytes."""
BIG = 8_000_000
"""Bytes: more than the kernel takes off the server's hands while nobody reads."""
STORED = build_wheel("stored", "1.0", size_padding=BIG)
SLOW_UPLOAD = build_wheel("slow", "1.0", size_padding=100_000)
OWN = build_wheel("own", "1.0")


def open_connections(server: Server, stack: ExitStack, count: int) -> Sequence[socket.socket]:
    host, _, port = server.netloc.partition(":")
    address = (host, int(port))
    return [stack.enter_context(socket.create_connection(address, timeout=PATIENCE)) for _ in range(count)]


@contextmanager
def dripping(connections: Sequence[socket.socket], request: bytes) -> Iterator[None]:
    """All of them send `request` byte by byte, its first half at once."""
    over = threading.Event()

    def drip() -> None:
        begun = len(request) // 2
        for piece in chain([request[:begun]], (request[at : at + 1] for at in range(begun, len(request)))):
            for connection in connections:
                with suppress(OSError):  # the server may have had enough of it
                    connection.sendall(piece)
            if over.wait(STEP):
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(PATIENCE)


def ask_and_read_nothing(connections: Sequence[socket.socket], path: str) -> None:
    for connection in connections:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: there\r\n\r\n".encode())
    for connection in connections:
        assert connection.recv(15) == b"HTTP/1.1 200 OK"


def slow_upload() -> bytes:
    """An upload of which only the last bytes are worth dripping."""
    content_type, body = upload_form("slow", "1.0", SLOW_UPLOAD)
    head = (
        f"POST /legacy/ HTTP/1.1\r\nHost: there\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def test_a_client_among_hundreds_of_slow_ones_is_served(serve: Serve, upstream: ThreadedFakeIndex) -> None:
    cold = upstream.add_wheel("cold", "1.0", size_padding=BIG)
    upstream.add_wheel("healthy", "1.0")
    gate = upstream.fault(Gate(after=BIG // 2), "*/cold*.whl")
    server = serve(forwards_to(upstream))
    assert upload(f"{server.url}legacy/", "stored", "1.0", STORED).status == 201
    with ExitStack() as stack:
        heads, bodies, readers, followers = (open_connections(server, stack, OF_EACH) for _ in range(4))
        stack.enter_context(dripping(heads, b"GET /simple/stored/ HTTP/1.1\r\n" + b"X-Filler: filler\r\n" * 100))
        stack.enter_context(dripping(bodies, slow_upload()))
        ask_and_read_nothing(readers, f"/files/{STORED.sha256}/{STORED.filename}")
        ask_and_read_nothing(followers, f"/files/{cold.sha256}/{cold.filename}")
        gate.block_until_waiting()
        check_served(server)
    gate.open()
    (file,) = list_files(f"{server.url}simple/cold/")
    check_intact(file)
    assert upstream.count("GET", "*/cold*.whl") == 1
    assert ask("GET", f"{server.url}simple/slow/").status == 404
    server.terminate()


def check_served(server: Server) -> None:
    """Pages, files and uploads, of here and of the upstream."""
    assert upload(f"{server.url}legacy/", "own", "1.0", OWN).status == 201
    for name in ("own", "healthy", "stored"):
        (file,) = list_files(f"{server.url}simple/{name}/")
        check_intact(file)
    for path in ("simple/", "-/readiness", "-/liveness"):
        assert ask("GET", server.url + path).status == 200
