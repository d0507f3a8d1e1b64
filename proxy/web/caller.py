"""The caller of the request at hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from proxy.web.credentials import principal_of

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.core.access import Principal


def caller_of(request: web.Request) -> Principal:
    """Who asks; raises Unauthorized where credentials were given that can only be meant wrong."""
    return principal_of(request, datetime.now(UTC))


def privately(caller: Principal, directives: str) -> str:
    """`Cache-Control` directives; an answer to a known caller is no shared cache's to keep."""
    return f"private, {directives}" if caller.known else directives
