"""What a request bears: credentials in all of GitLab's forms, or what may stand in for them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from proxy.core.access import Anonymous
from proxy.core.credentials import Basic, Credentials
from proxy.core.errors import Forbidden
from proxy.core.hosts import is_address, is_loopback
from proxy.web.site import SITE

if TYPE_CHECKING:
    from aiohttp import web

_NONE = Basic("", "")


def read_credentials(request: web.Request) -> Credentials:
    """What the request bears, in each of GitLab's forms."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return Credentials(
        basic=_basic(value) if scheme.lower() == "basic" else _NONE,
        bearer=value.strip() if scheme.lower() == "bearer" else "",
        private=request.query.get("private_token", "") or request.headers.get("PRIVATE-TOKEN", ""),
        deploy=request.headers.get("Deploy-Token", ""),
    )


def anonymous_may(request: web.Request) -> Anonymous:
    """What the caller may do without credentials."""
    site = request[SITE]
    if site.access.anonymous is not None:
        return site.access.anonymous
    is_open = site.access.open_to_this_machine and not site.tokens.ever_known and not _proxied(request)
    return Anonymous.PUBLISH if is_open else Anonymous.READ


def check_no_browser(request: web.Request) -> None:
    """A writing route is not for web pages: raises Forbidden for a request that a page of another site made.

    While anybody on this machine may publish, the `Host` is checked as well: a page may reach a loopback server under
    a name of its own by rebinding it.
    """
    if _is_from_elsewhere(request):
        raise Forbidden("403 Forbidden - web pages of other sites cannot write here; use twine or uv")
    if anonymous_may(request) is not Anonymous.PUBLISH:
        return
    host, rules = _host_name(request.host), request[SITE].access
    if not (is_loopback(host) or host in rules.hosts or (rules.any_address and is_address(host))):
        raise Forbidden("403 Forbidden - this server takes anonymous uploads under a loopback name only")


def _is_from_elsewhere(request: web.Request) -> bool:
    """Browsers tell which site began a request (Fetch Metadata, RFC 6454); other clients say nothing."""
    origin = request.headers.get("Origin")
    same_origin = origin is None or origin.partition("://")[2] == request.host
    return not same_origin or request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}


def _basic(value: str) -> Basic:
    """RFC 7617, in UTF-8 or, as `requests` sends it, in Latin-1; what cannot be read is none."""
    try:
        decoded = base64.b64decode(value, validate=True)
    except ValueError:
        return _NONE
    try:
        text = decoded.decode()
    except UnicodeDecodeError:
        text = decoded.decode("latin-1")
    username, _, password = text.partition(":")
    return Basic(username, password)


def _proxied(request: web.Request) -> bool:
    """Whether something passed the request on, so that its connection says nothing of where it began."""
    names = {name.lower() for name in request.headers}
    return bool(names & {"forwarded", "via"}) or any(name.startswith("x-forwarded-") for name in names)


def _host_name(host: str) -> str:
    """A `Host` header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()
