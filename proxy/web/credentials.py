"""Who a request comes from: GitLab's forms of credentials, and what an anonymous caller is here."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, NamedTuple

from proxy.core.access import Anonymous, Kind, Principal, anonymous
from proxy.core.errors import Forbidden, Unauthorized
from proxy.core.hosts import is_loopback
from proxy.web.site import SITE, AccessRules

if TYPE_CHECKING:
    from datetime import datetime

    from aiohttp import web

JOB_USERNAME = "gitlab-ci-token"
_PROXIED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Via")


class Credentials(NamedTuple):
    """A secret and the Basic user name it came with (None for the other forms)."""

    secret: str
    username: str | None = None


def principal_of(request: web.Request, now: datetime) -> Principal:
    """The caller; raises Unauthorized for a wrong job token and for an expired token.

    A Basic login that is not known counts as anonymous, as in GitLab.
    """
    site = request[SITE]
    credentials = _credentials(request)
    if credentials is not None:
        token = site.tokens.find(credentials.secret)
        if token is not None and not token.valid_at(now):
            raise Unauthorized("401 Unauthorized")
        if token is not None and _fits(token.principal, credentials):
            return token.principal
        if credentials.username == JOB_USERNAME:
            raise Unauthorized("401 Unauthorized")
    return anonymous(_anonymous_may(request, site.access))


def check_no_browser(request: web.Request) -> None:
    """A writing route is not for web pages: raises Forbidden for a request that a page of another site made.

    While anybody on this machine may publish, the `Host` is checked as well: a page may reach a loopback server under
    a name of its own by rebinding it.
    """
    if "Origin" in request.headers or request.headers.get("Sec-Fetch-Site", "none") != "none":
        raise Forbidden("403 Forbidden - browsers cannot publish; use twine or uv")
    rules = request[SITE].access
    if _anonymous_may(request, rules) is not Anonymous.PUBLISH:
        return
    host = _host_name(request.host)
    if not (is_loopback(host) or host in rules.hosts):
        raise Forbidden("403 Forbidden - this server takes anonymous uploads under a loopback name only")


def _fits(principal: Principal, credentials: Credentials) -> bool:
    """A job token is accepted as Basic with exactly its user name, or in a header; others with any user name."""
    if principal.kind is Kind.JOB:
        return credentials.username in {None, JOB_USERNAME}
    return credentials.username != JOB_USERNAME


def _credentials(request: web.Request) -> Credentials | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        return _basic(value)
    if scheme.lower() == "bearer" and value:
        return Credentials(value.strip())
    for header in ("PRIVATE-TOKEN", "Deploy-Token"):
        if secret := request.headers.get(header):
            return Credentials(secret)
    return None


def _basic(value: str) -> Credentials | None:
    try:
        username, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Credentials(password, username) if colon else None


def _anonymous_may(request: web.Request, rules: AccessRules) -> Anonymous:
    if rules.anonymous is not None:
        return rules.anonymous
    proxied = any(header in request.headers for header in _PROXIED)
    return Anonymous.PUBLISH if rules.open_to_this_machine and not proxied else Anonymous.READ


def _host_name(host: str) -> str:
    """A `Host` header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()
