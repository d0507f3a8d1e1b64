"""The least that ASGI can do: whole pages from memory, small files read at once. For `uvicorn asgi_app:app`."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

_Message = MutableMapping[str, Any]

_PAGES = Path(os.environ["BENCH_PAGES"])
_FILES = Path(os.environ["BENCH_FILES"])
_PLAIN = {f"/simple/{path.parent.name}/": path.read_bytes() for path in _PAGES.glob("*/index.json")}
_PACKED = {f"/simple/{path.parent.name}/": path.read_bytes() for path in _PAGES.glob("*/index.json.gz")}
_ETAG = b'"a page"'
_PAGE = ((b"content-type", b"application/vnd.pypi.simple.v1+json"), (b"etag", _ETAG))


async def app(
    scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
) -> None:
    del receive
    if scope["type"] != "http":
        return
    status, headers, body = _answer(scope["path"], dict(scope["headers"]))
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


def _answer(path: str, asked: dict[bytes, bytes]) -> tuple[int, tuple[tuple[bytes, bytes], ...], bytes]:
    if path.startswith("/files/bench/"):
        return 200, (), (_FILES / path.rpartition("/")[2]).read_bytes()
    if path not in _PLAIN:
        return 404, (), b""
    if asked.get(b"if-none-match") == _ETAG:
        return 304, _PAGE[1:], b""
    if b"gzip" in asked.get(b"accept-encoding", b""):
        return 200, (*_PAGE, (b"content-encoding", b"gzip")), _PACKED[path]
    return 200, _PAGE, _PLAIN[path]
