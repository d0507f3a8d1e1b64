"""`Expect: 100-continue` (RFC 9110 section 10.1.1): a client learns whether its body is wanted before it sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http import HttpVersion11

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp.typedefs import Handler

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def leave_to_handlers(routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
    """The routes, on which aiohttp does not say "continue" by itself, before anybody asked who the caller is."""
    return [
        web.RouteDef(route.method, route.path, route.handler, {**route.kwargs, "expect_handler": _say_nothing})
        for route in routes
    ]


@web.middleware
async def check_expectation(request: web.Request, handler: Handler) -> web.StreamResponse:
    """417 for what nobody knows how to meet."""
    if request.version >= HttpVersion11 and request.headers.get("Expect", "100-continue").lower() != "100-continue":
        raise web.HTTPExpectationFailed
    return await handler(request)


async def ask_for_body(request: web.Request) -> None:
    """Tell a client that waits for it to go on. An HTTP/1.0 client does not wait, whatever it says."""
    if "Expect" in request.headers and request.version >= HttpVersion11:
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # the answer itself has not begun


async def _say_nothing(_: web.Request) -> None:
    pass
