"""`serve` itself has these bounds, by the descriptors that it gets."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from tests.e2e.harness import FORWARDS_NOTHING, Server, eventually
from tests.e2e.wire import ask

if TYPE_CHECKING:
    from pathlib import Path

FEW = 400
"""Descriptors: enough for 36 clients besides the upstreams that the built-in config has."""


def connect(server: Server) -> socket.socket:
    host, _, port = server.netloc.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def test_more_silent_clients_than_descriptors_keep_nobody_out(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(FORWARDS_NOTHING)
    command = ("sh", "-c", f'ulimit -n {FEW}; exec "$@"', "sh", sys.executable, "-m", "proxy", "serve")
    with Server(tmp_path / "data", config=config, command=command) as server, ExitStack() as stack:
        for _ in range(FEW):
            stack.enter_context(closing(connect(server))).sendall(b"GET / HTTP/1.1\r\nX: ")
        eventually(lambda: status(server) == 200, what="a client that speaks is served")
        server.terminate()


def status(server: Server) -> int | None:
    """What a client is told; None where it is closed without a word, as many at once may be."""
    try:
        return ask("GET", f"{server.url}-/health").status
    except OSError:
        return None


def test_what_is_no_http_is_answered_and_logged_without_its_words(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(FORWARDS_NOTHING)
    with Server(tmp_path / "data", config=config) as server:
        with closing(connect(server)) as client:
            client.sendall(b"GET /glpat-secret\x1b[2J HTTP/1.1\r\n\r\n")
            client.settimeout(20)
            answer = client.recv(65536)
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
        request_id = answer.lower().partition(b"x-request-id: ")[2][:16].decode()
        eventually(lambda: request_id in server.stderr, what="the log has the answer's id")
        server.terminate()
    assert "glpat-secret" not in server.stderr
