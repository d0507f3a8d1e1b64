"""For operators and orchestrators: alive, ready, and what was counted."""

from __future__ import annotations

from aiohttp import web

from proxy.web.site import SITE

_HEADERS = {"Cache-Control": "no-store"}


async def alive(_: web.Request) -> web.StreamResponse:
    """`/-/health`, `/-/liveness`: the server answers."""
    return web.json_response({"status": "ok"}, headers=_HEADERS)


async def ready(request: web.Request) -> web.StreamResponse:
    """`/-/readiness`: a write and a read through the database and the blob store; 503 names the part that failed."""
    failed = await request[SITE].readiness.find_failures()
    status = {"status": "failed" if failed else "ok", **failed}
    return web.json_response(status, status=503 if failed else 200, headers=_HEADERS)


async def metrics(request: web.Request) -> web.StreamResponse:
    """`/-/metrics`: the figures of all processes of this server."""
    from proxy.web.metrics import CONTENT_TYPE, as_text  # noqa: PLC0415 - its docstring says why

    site = request[SITE]
    text = as_text(site.meters.board, await site.cache_gauge.read())
    return web.Response(body=text, headers={**_HEADERS, "Content-Type": CONTENT_TYPE})
