"""A cheap client: plain sockets that read into one large buffer, a connection for each request."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BUFFER: Final = 1024 * 1024
_TIMEOUT: Final = 60.0
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Download(NamedTuple):
    """`first_byte` and `whole` are seconds from before the connection; `size` is of the body as it was sent."""

    status: int
    headers: Mapping[str, str]
    first_byte: float
    whole: float
    size: int


class Broken(Exception):
    """The answer was no answer, or was cut off."""


def download(url: str, headers: Mapping[str, str] | None = None) -> Download:
    """GET to the end; follows one redirect, whose time counts. Raises OSError or Broken."""
    began = time.monotonic()
    found = _get(url, headers or {}, began)
    if found.status in _REDIRECTS:
        found = _get(urljoin(url, found.headers["location"]), headers or {}, began)
    return found


def download_at_once(url: str, clients: int, headers: Mapping[str, str] | None = None) -> Sequence[Download]:
    """So many clients ask for the same at the same moment."""
    barrier = threading.Barrier(clients)

    def ask() -> Download:
        barrier.wait()
        return download(url, headers)

    with ThreadPoolExecutor(clients) as pool:
        return [future.result() for future in [pool.submit(ask) for _ in range(clients)]]


def _get(url: str, headers: Mapping[str, str], began: float) -> Download:
    parts = urlsplit(url)
    wanted = {"Host": parts.netloc, "Connection": "close", **headers}
    lines = [f"GET {parts.path} HTTP/1.1", *(f"{name}: {value}" for name, value in wanted.items()), "", ""]
    with socket.create_connection((parts.hostname or "", parts.port or 80), _TIMEOUT) as connection:
        connection.sendall("\r\n".join(lines).encode())
        head, rest = _read_head(connection)
        status, fields = _parse_head(head)
        size = len(rest) or connection.recv_into(bytearray(1), 1)
        first_byte = time.monotonic() - began
        size += _drain(connection)
    if int(fields.get("content-length", size)) != size:
        raise Broken(f"{url} ended after {size} of {fields['content-length']} bytes")
    return Download(status, fields, first_byte, time.monotonic() - began, size)


def _read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65536)
        if not more:
            raise Broken(f"ended in its head: {received!r}")
        received += more
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


def _parse_head(head: bytes) -> tuple[int, Mapping[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


def _drain(connection: socket.socket) -> int:
    buffer = bytearray(_BUFFER)
    size = 0
    while received := connection.recv_into(buffer):
        size += received
    return size
