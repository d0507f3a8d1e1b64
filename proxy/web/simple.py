"""The Simple API: the root index and the pages of projects (PEP 503, PEP 691)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from yarl import URL

from proxy.core import cache_status
from proxy.core.errors import InvalidName, NotFound
from proxy.core.names import ProjectName, parse_project_name
from proxy.core.negotiate import Encoding, Representation, choose_encoding, choose_representation
from proxy.core.policy import PACKAGE_NOT_FOUND
from proxy.services.listings import Elsewhere
from proxy.services.pages import Form
from proxy.services.upstream_pages import Unfetched
from proxy.web import html
from proxy.web.bodies import body_of
from proxy.web.caller import caller_of, privately
from proxy.web.conditional import not_modified
from proxy.web.site import SITE
from proxy.web.warm import STANDING, Standing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.core.access import Principal
    from proxy.core.cache_status import CacheStatus
    from proxy.services.pages import PageAnswer
    from proxy.web.scopes import FindScope

VARY = "Accept, Accept-Encoding"


def root(find_scope: FindScope) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of `…/simple/`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        scope = find_scope(request)
        form = _form(request)
        caller = caller_of(request)
        page = await request[SITE].pages.root(caller, scope, form)
        return _answer(request, caller, form, page)

    return handle


def detail(find_scope: FindScope) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of `…/simple/{name}/`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        scope = find_scope(request)
        spelled = request.match_info["name"]
        name = _name(spelled)
        if spelled != name:
            return _redirect(request, f"../{name}/")
        form = _form(request)
        caller = caller_of(request)
        try:
            page = await request[SITE].pages.detail(caller, scope, name, form, fetches=request.method != "HEAD")
        except Unfetched:
            return web.Response(headers=_headers(caller, form, cache_status.PASSED))
        if isinstance(page, Elsewhere):
            return web.Response(status=302, headers={"Location": page.url, "Cache-Control": "no-store"})
        return _answer(request, caller, form, page)

    return handle


async def add_slash(request: web.Request) -> web.StreamResponse:
    """`…/simple` and `…/simple/{name}`: to the form with a trailing slash, the name normalized."""
    spelled = request.match_info.get("name")
    return _redirect(request, f"{_name(spelled) if spelled else 'simple'}/")


def _name(spelled: str) -> ProjectName:
    try:
        return parse_project_name(spelled)
    except InvalidName as error:
        raise NotFound(PACKAGE_NOT_FOUND) from error


def _form(request: web.Request) -> Form:
    representation = choose_representation(request.headers.get("Accept"), request.query.get("format"))
    return Form(representation, choose_encoding(request.headers.get("Accept-Encoding")), _secure_url(request))


def _secure_url(request: web.Request) -> str:
    """The page's address as others see it, where that is https: only there may provenance be linked absolutely.

    Another spelling of it (`%64emo`) is no other address, and no other page to keep.
    """
    external = request[SITE].external_url
    return f"{external}{URL(request.rel_url.raw_path).raw_path}" if external.startswith("https://") else ""


def _redirect(request: web.Request, location: str) -> web.Response:
    """A permanent redirect to a relative location: it holds under every host name and prefix."""
    query = request.rel_url.raw_query_string
    return web.Response(status=301, headers={"Location": f"{location}?{query}" if query else location})


def _answer(request: web.Request, caller: Principal, form: Form, page: PageAnswer) -> web.StreamResponse:
    """Clients ask again on each use, and get a 304: a name that was just published is seen at once."""
    request[STANDING] = Standing(page.grounds, page.rendered)
    etag = page.rendered.etag
    if not_modified(request, etag):
        return web.Response(status=304, headers={**_caching(caller, page.cache_status), "ETag": etag})
    headers = {**_headers(caller, form, page.cache_status), "ETag": etag}
    return web.Response(body=body_of(page.rendered.body), headers=headers)


def _caching(caller: Principal, status: CacheStatus) -> dict[str, str]:
    return {"Cache-Control": privately(caller, "no-cache"), "Cache-Status": status.header, "Vary": VARY}


def _headers(caller: Principal, form: Form, status: CacheStatus) -> dict[str, str]:
    """What is known of a page without its bytes."""
    headers = {**_caching(caller, status), "Content-Type": form.representation.content_type}
    if form.representation is not Representation.JSON:
        headers |= html.HEADERS
    if form.encoding is not Encoding.IDENTITY:
        headers["Content-Encoding"] = form.encoding.token
    return headers
