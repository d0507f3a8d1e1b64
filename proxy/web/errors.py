"""Errors as answers: one table from the error tree to statuses, bodies as GitLab words them."""

from __future__ import annotations

import json
import math
import re
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from proxy.core import errors
from proxy.core.negotiate import prefers_html
from proxy.core.policy import Rule
from proxy.core.ranges import Unsatisfiable
from proxy.web import html

if TYPE_CHECKING:
    from collections.abc import Mapping

STATUS: Mapping[type[errors.SidecarError], HTTPStatus] = {
    errors.SidecarError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InvalidInput: HTTPStatus.BAD_REQUEST,
    errors.NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    errors.TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    Unsatisfiable: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    errors.Gone: HTTPStatus.GONE,
    errors.Unauthorized: HTTPStatus.UNAUTHORIZED,
    errors.TooManyGuesses: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.UpstreamTrouble: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.UpstreamBroken: HTTPStatus.BAD_GATEWAY,
    errors.StorageTrouble: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.NotStored: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.StorageFull: HTTPStatus.INSUFFICIENT_STORAGE,
}
"""The status of an error is that of its nearest class here."""

REALM = 'Basic realm="GitLab Packages Registry"'
RETRY_AFTER = 5
"""Seconds, where the upstream tells no others: as long as stale pages are served before it is asked again."""
_UNTOLD = {"", Rule.ACCESS, Rule.LOCAL}
"""Rules that would tell of what the caller may not know of: a private group, a name that it holds."""
_MAX_REASON = 200
_UNFIT_FOR_REASON = re.compile(r"[^\x20-\x7e]+")
_PAGE = "<!DOCTYPE html>\n<html lang=en><title>{0}</title><p>{0}</p></html>\n"
_PHRASES = {HTTPStatus.BAD_REQUEST: "Bad request"}  # GitLab's spelling


def status_of(error: errors.SidecarError) -> HTTPStatus:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def answer(request: web.Request, error: errors.SidecarError) -> web.Response:
    """The response for an error of the tree."""
    status = status_of(error)
    message = _message(status, error)
    response = respond(request, status, message, _body(message, error))
    if isinstance(error, errors.Unauthorized):
        response.headers["WWW-Authenticate"] = REALM
    if isinstance(error, errors.UpstreamTrouble):
        seconds = RETRY_AFTER if error.retry_after is None else max(1, math.ceil(error.retry_after))
        response.headers["Retry-After"] = str(seconds)
    if isinstance(error, errors.TooManyGuesses):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, errors.Refused) and error.rule not in _UNTOLD:
        response.headers["X-Index-Decision"] = error.rule
    if isinstance(error, Unsatisfiable):
        response.headers["Content-Range"] = f"bytes */{error.size}"
    return response


def respond(request: web.Request, status: int, message: str, body: Mapping[str, str] | None = None) -> web.Response:
    """An error response: JSON, or a small page for who asks for HTML first. The reason phrase says it too."""
    reason = _UNFIT_FOR_REASON.sub(" ", message.removeprefix(f"{status} "))[:_MAX_REASON]
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    if prefers_html(request.headers.get("Accept")):
        page = _PAGE.format(escape(message))
        headers |= html.HEADERS
        return web.Response(status=status, reason=reason, text=page, content_type="text/html", headers=headers)
    text = json.dumps(body or {"message": message})
    return web.Response(status=status, reason=reason, text=text, content_type="application/json", headers=headers)


def _message(status: HTTPStatus, error: errors.SidecarError) -> str:
    """The error's words behind its status, as GitLab puts it: `400 Bad request - why`."""
    if error.message.startswith(f"{status.value} "):
        return error.message
    return f"{status.value} {_PHRASES.get(status, status.phrase)} - {error.message}"


def _body(message: str, error: errors.SidecarError) -> Mapping[str, str]:
    """GitLab says `error` instead of `message` for fields, for parameters and for a known token that will not do."""
    if isinstance(error, errors.InvalidFields | errors.InvalidParameters):
        return {"error": error.message}
    if isinstance(error, errors.LacksScope):
        return {"error": "insufficient_scope", "error_description": error.message, "scope": "api read_api"}
    if isinstance(error, errors.InvalidToken):
        return {"error": "invalid_token", "error_description": error.message}
    return {"message": message}
