"""Clients that send what they should not, dawdle, or leave in the middle."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tests.soak.exchange import Exchanges

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.soak.exchange import World

_TIMEOUT: Final = 20.0
_LINES: Final = (
    "GET /simple/../../etc/passwd HTTP/1.1\r\n",
    "GET /simple/%2e%2e%2f%2e%2e/ HTTP/1.1\r\n",
    "GET /simple/a%00b/ HTTP/1.1\r\n",
    f"GET /{'x' * 20_000} HTTP/1.1\r\n",
    "GET /simple/demo HTTP/9.9\r\n",
    "BREW /simple/ HTTP/1.1\r\n",
    "\x16\x03\x01\x02\r\n",
    "GET /files/abc/demo.whl HTTP/1.1\r\nRange: bytes=9-1,,\r\n",
    "GET /simple/ HTTP/1.1\r\nAccept: ;;;q=x, */*;q=9\r\n",
    "POST /legacy/ HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 4\r\n",
    "POST /legacy/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n",
)


class Rudeness:
    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._exchanges = Exchanges(world)
        parts = urlsplit(world.url)
        self._address = (parts.hostname or "", parts.port or 0)

    @property
    def actions(self) -> dict[Callable[[], None], int]:
        return {self.talk_nonsense: 5, self.dawdle: 1, self.leave_a_download: 3, self.leave_an_upload: 3}

    def talk_nonsense(self) -> None:
        """It is refused, or not answered at all."""
        line = self._random.choice(_LINES)
        with self._connected() as connection:
            connection.sendall(f"{line}Host: {self._address[0]}\r\nConnection: close\r\n\r\nxxxx".encode("latin-1"))
            status = _status(connection)
        if status is None or 400 <= status < 500 or status in {200, 301}:
            self._world.tally.count(f"nonsense {status or 'unanswered'}")
        elif status != 503 or not self._world.weather.may_have_hit(time.monotonic()):
            self._world.tally.blame(f"nonsense: {line[:80]!r} was answered {status}")

    def dawdle(self) -> None:
        """Half a request, then nothing for a while."""
        with self._connected() as connection:
            connection.sendall(b"GET /simple/ HTTP/1.1\r\nHost: loc")
            time.sleep(self._random.uniform(0.1, 0.5))
        self._world.tally.count("dawdler")

    def leave_a_download(self) -> None:
        """Some bytes of a file are read, slowly, and the rest is not waited for."""
        file = self._world.shelf.cold(self._random)
        with self._connected() as connection:
            connection.sendall(
                f"GET /files/{file.sha256}/{file.filename} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            )
            time.sleep(self._random.uniform(0, 0.1))
            connection.recv(self._random.randint(1, 4096))
        self._world.tally.count("left download")

    def leave_an_upload(self) -> None:
        with self._connected() as connection:
            head = "POST /legacy/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            part = 'Content-Disposition: form-data; name="content"; filename="left-1.0-py3-none-any.whl"'
            body = bytes(self._random.randint(1, 100_000))
            connection.sendall(f"{head}Content-Length: 1000000\r\n\r\n--b\r\n{part}\r\n\r\n".encode() + body)
        self._world.tally.count("left upload")

    def _connected(self) -> closing[socket.socket]:
        return closing(socket.create_connection(self._address, timeout=_TIMEOUT))


def _status(connection: socket.socket) -> int | None:
    """The status of the answer; None where there is none."""
    try:
        words = connection.recv(4096).split(b" ", 2)
    except ConnectionError:
        return None
    return int(words[1]) if len(words) > 1 else None
