"""Answers to who was not heard as a request: written by hand, or where no middleware sees them."""

from __future__ import annotations

import json
import random
from http import HTTPStatus
from typing import Final

from aiohttp import web

from proxy.web.errors import RETRY_AFTER

_TYPE: Final = "application/json; charset=utf-8"
_WHY: Final = {
    HTTPStatus.BAD_REQUEST: "400 Bad request - the request is not well-formed HTTP/1.1, or a line of it is too long"
}


def new_id() -> str:
    """For `X-Request-Id`, and for the line of the log that tells of it."""
    return f"{random.getrandbits(64):016x}"


def last_response(status: HTTPStatus, request_id: str) -> web.Response:
    """The response after which the connection ends."""
    message = _WHY.get(status, f"{status.value} {status.phrase}")
    headers = {"Cache-Control": "no-store", "Content-Type": _TYPE, "X-Request-Id": request_id}
    headers["Server"] = "pypi-sidecar"  # or aiohttp would tell its version
    response = web.Response(status=status, body=_body(message), headers=headers)
    response.force_close()
    return response


def refusal(status: HTTPStatus, why: str) -> bytes:
    """A whole answer, as bytes, after which the connection ends."""
    body = _body(f"{status.value} {status.phrase} - {why}")
    head: dict[str, object] = {
        "Content-Type": _TYPE,
        "Content-Length": len(body),
        "Cache-Control": "no-store",
        "Connection": "close",
        "X-Request-Id": new_id(),
    }
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        head["Retry-After"] = RETRY_AFTER
    fields = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{fields}\r\n".encode() + body


def _body(message: str) -> bytes:
    return json.dumps({"message": message}).encode()
