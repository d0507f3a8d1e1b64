"""Every answer is counted: by the kind of its route, its status and its source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.payload import Payload

from proxy.core import metrics
from proxy.core.cache_status import source_of
from proxy.core.metrics import Route
from proxy.web.site import BROKEN_OFF, SITE

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = web.AppKey("kinds", dict[web.AbstractRoute, Route])
"""What each route of the application is counted as; what matches none of them is OTHER."""


def count_as(app: web.Application, kind: Route, added: Iterable[web.AbstractRoute]) -> None:
    """Count the answers of these routes so; aiohttp tells the one for GET alone of the two that it adds."""
    for route in added:
        same = (each for each in route.resource or () if each.handler is route.handler)
        app[KINDS].update(dict.fromkeys(same, kind))


def count_answer(request: web.Request, response: web.StreamResponse, seconds: float) -> None:
    """An answer was given, as far as its client let it be."""
    meters, told = request[SITE].meters, response.headers.get("Cache-Status")
    kind = kind_of(request)
    cells = meters.cells_of(kind, response.status, source_of(told) if told else None)
    meters.answered(cells, seconds, size_of(request, response))
    if BROKEN_OFF in request:
        meters.add(metrics.BROKEN_ANSWERS.cell(kind))


def kind_of(request: web.Request) -> Route:
    return request.app[KINDS].get(request.match_info.route, Route.OTHER)


def size_of(request: web.Request, response: web.StreamResponse) -> int:
    """Bytes of the body; of one whose length nobody knew beforehand a few more, since its head counts too."""
    if request.method == "HEAD" or BROKEN_OFF in request:
        return 0
    if (size := response.content_length) is not None:
        return size
    body = response.body if isinstance(response, web.Response) else None
    return (body.size or 0) if isinstance(body, Payload) else response.body_length
