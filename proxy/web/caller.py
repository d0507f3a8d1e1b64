"""The caller of the request at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.access import anonymous
from proxy.web.credentials import anonymous_may
from proxy.web.site import IDENTITY

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.core.access import Principal


def caller_of(request: web.Request) -> Principal:
    """Who asks; raises Unauthorized for credentials that are wrong whatever is asked for."""
    identity = request[IDENTITY]
    if identity.refusal is not None:
        raise identity.refusal
    return identity.principal or anonymous(anonymous_may(request))


def privately(caller: Principal, directives: str) -> str:
    """`Cache-Control` directives; an answer to a known caller is no shared cache's to keep."""
    return f"private, {directives}" if caller.known else directives
