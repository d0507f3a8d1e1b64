"""The cheap client against a server that says what it is told to."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.bench.fetching import Broken, download, download_at_once

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _serving(*answers: bytes) -> Iterator[str]:
    """One answer for each connection, in order."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        thread.join()


def test_a_body_is_counted_to_its_end() -> None:
    with _serving(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\nETag: a\r\n\r\n" + bytes(300_000)) as url:
        found = download(url)
    assert (found.status, found.size, found.headers["etag"]) == (200, 300_000, "a")
    assert 0 < found.first_byte <= found.whole


def test_an_empty_body_has_no_bytes() -> None:
    with _serving(b"HTTP/1.1 204 No Content\r\n\r\n") as url:
        found = download(url)
    assert (found.status, found.size) == (204, 0)


def test_a_redirect_is_followed() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n"
    with _serving(moved, b"HTTP/1.1 200 OK\r\n\r\nab") as url:
        found = download(url)
    assert (found.status, found.size) == (200, 2)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", b"HTTP/1.1 200"])
def test_what_is_cut_off_is_no_answer(answer: bytes) -> None:
    with _serving(answer) as url, pytest.raises(Broken):
        download(url)


def test_many_ask_at_once() -> None:
    with _serving(*[b"HTTP/1.1 200 OK\r\n\r\nab"] * 5) as url:
        assert [found.size for found in download_at_once(url, 5)] == [2] * 5
