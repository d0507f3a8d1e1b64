"""Who asks is made out before any handler runs; who guesses secrets too often must wait."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiohttp import web

from proxy.core.addresses import client_address
from proxy.core.credentials import identify
from proxy.core.errors import Unauthorized
from proxy.web.credentials import read_credentials
from proxy.web.site import BEARS_SECRET, IDENTITY, SITE

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from proxy.core.credentials import Credentials, Identity
    from proxy.services.tokens import Tokens

_READING = frozenset({"GET", "HEAD"})


@web.middleware
async def know_caller(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Notes the caller's identity with the request; raises TooManyGuesses."""
    credentials, tokens = read_credentials(request), request[SITE].tokens
    if credentials.secrets:
        request[BEARS_SECRET] = True
    if credentials.secrets or request.method not in _READING:
        await tokens.refresh()  # who reads without credentials may the same, whatever tokens there are
    identity = request[IDENTITY] = await _identify(credentials, tokens)
    return await (_count_guess(request, handler) if identity.guessed else handler(request))


async def _identify(credentials: Credentials, tokens: Tokens) -> Identity:
    now = datetime.now(UTC)
    identity = identify(credentials, tokens.find, now)
    if identity.guessed:  # or the token was made a moment ago
        await tokens.refresh(max_age=0)
        identity = identify(credentials, tokens.find, now)
    return identity


async def _count_guess(request: web.Request, handler: Handler) -> web.StreamResponse:
    guesses, address = request[SITE].guesses, _address(request)
    guesses.check(address, time.monotonic())
    try:
        return await handler(request)
    except Unauthorized:
        guesses.note(address, time.monotonic())
        raise


def _address(request: web.Request) -> str:
    """Whose guess it is: the peer's, or who a trusted proxy says that it passes on."""
    forwarded_for = request.headers.getall("X-Forwarded-For", ())
    return client_address(request.remote or "", forwarded_for, request[SITE].trusted_proxies)
