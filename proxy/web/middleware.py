"""What holds for every answer: a request id, being counted, an access log line, errors as answers."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from aiohttp import web

from proxy.core.errors import SidecarError
from proxy.web import errors
from proxy.web.access_log import ACCESS_LOG, Answered
from proxy.web.counting import count_answer
from proxy.web.expect import check_expectation
from proxy.web.identity import know_caller
from proxy.web.refusals import new_id
from proxy.web.site import BROKEN_OFF, CURRENT, SITE

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

logger = logging.getLogger(__name__)

REQUEST_ID = web.RequestKey("request_id", str)


async def add_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """Sent before the headers of every answer go out; one that no middleware saw may bear its own."""
    response.headers["X-Request-Id"] = request.get(REQUEST_ID) or response.headers.get("X-Request-Id") or new_id()
    response.headers.pop("Server", None)


@web.middleware
async def log_access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One line an answer. The query is left out: it may hold a secret."""
    request[REQUEST_ID] = new_id()
    request[SITE] = request.app[CURRENT].site
    started = time.perf_counter()
    response = await handler(request)
    seconds = time.perf_counter() - started
    count_answer(request, response, seconds)
    if request[SITE].access_log:
        request.app[ACCESS_LOG].note(_answered(request, response, seconds))
    return response


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The one place where errors become answers; the unforeseen is logged with the request id and told as 500."""
    try:
        return await handler(request)
    except SidecarError as error:
        response = errors.answer(request, error)
        if response.status >= 500:
            logger.warning("request %s: %s%s", request[REQUEST_ID], error, _caused_by(error))
        return response
    except web.HTTPException as error:
        return _route_error(request, error)
    except ConnectionError:  # the client left while it was being heard; nobody is there to answer
        request[BROKEN_OFF] = True
        return web.Response(status=499, reason="Client Closed Request")
    except Exception:
        logger.exception("request %s failed", request[REQUEST_ID])
        return errors.respond(request, 500, "500 Internal Server Error")


MIDDLEWARES: tuple[Middleware, ...] = (log_access, answer_errors, check_expectation, know_caller)
"""The outermost first."""


def _answered(request: web.Request, response: web.StreamResponse, seconds: float) -> Answered:
    return Answered(
        at=time.time(),
        remote=request.remote or "-",
        method=request.method,
        path=request.rel_url.raw_path,
        status=f"{response.status}, broken off" if BROKEN_OFF in request else str(response.status),
        seconds=seconds,
        request_id=request[REQUEST_ID],
        cache_status=response.headers.get("Cache-Status", "-"),
    )


def _caused_by(error: SidecarError) -> str:
    return f" ({error.__cause__!r})" if error.__cause__ else ""


def _route_error(request: web.Request, error: web.HTTPException) -> web.Response:
    """Aiohttp's own: no such route, a method that the route has not, a request that is no HTTP."""
    message = f"{error.status} {error.reason}"
    response = errors.respond(request, error.status, message, {"error": message})
    if allowed := error.headers.get("Allow"):
        response.headers["Allow"] = allowed
    return response
