"""The application: its routes as a list, its hooks, and nothing that decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from proxy.core.metrics import Route
from proxy.web import files, ops, packages_api, scopes, simple, upload
from proxy.web.access_log import ACCESS_LOG, AccessLog
from proxy.web.counting import KINDS, count_as
from proxy.web.expect import leave_to_handlers
from proxy.web.middleware import MIDDLEWARES, add_request_id
from proxy.web.server_log import leave_requests_out
from proxy.web.site import CURRENT, Current

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from proxy.web.scopes import FindProject, FindScope

    Counted: TypeAlias = tuple[Route, web.RouteDef]

_PROJECT = "/api/v4/projects/{id}/packages/pypi"
_GROUP = "/api/v4/groups/{id}/-/packages/pypi"


def build_app() -> web.Application:
    """The application; it serves once `app[CURRENT]` has a site."""
    leave_requests_out()
    app = web.Application(middlewares=MIDDLEWARES)
    app[CURRENT] = Current()
    app[ACCESS_LOG] = AccessLog()
    app.on_response_prepare.append(add_request_id)
    app[KINDS] = {}
    for kind, route in _routes():
        count_as(app, kind, app.add_routes(leave_to_handlers([route])))
    return app


def _routes() -> Iterator[Counted]:
    """All routes, each with what its answers are counted as."""
    yield from _index(_PROJECT, scopes.project)
    yield from _index(_GROUP, scopes.group)
    yield from _index("", scopes.short)
    yield from _upload(_PROJECT, scopes.project)
    yield Route.UPLOAD, web.post(f"{_PROJECT}/authorize", upload.authorize(scopes.project))
    yield from _upload("/legacy", scopes.short_project)
    yield Route.UPLOAD, web.post("/", upload.upload(scopes.short_project))
    for route in packages_api.routes():
        yield Route.PACKAGES_API, route
    yield Route.HEALTH, web.get("/-/health", ops.alive)
    yield Route.HEALTH, web.get("/-/liveness", ops.alive)
    yield Route.HEALTH, web.get("/-/readiness", ops.ready)
    yield Route.METRICS, web.get("/-/metrics", ops.metrics)


def _index(prefix: str, find_scope: FindScope) -> Iterator[Counted]:
    """The reading routes of one index: project, group, or the short form."""
    file = f"{prefix}/files/{{sha256}}/{{filename}}"
    yield Route.SIMPLE_ROOT, web.get(f"{prefix}/simple", simple.add_slash)
    yield Route.SIMPLE_ROOT, web.get(f"{prefix}/simple/", simple.root(find_scope))
    yield Route.SIMPLE_PAGE, web.get(f"{prefix}/simple/{{name}}", simple.add_slash)
    yield Route.SIMPLE_PAGE, web.get(f"{prefix}/simple/{{name}}/", simple.detail(find_scope))
    yield Route.METADATA, web.get(f"{file}.metadata", files.metadata(find_scope))
    yield Route.PROVENANCE, web.get(f"{file}.provenance", files.provenance(find_scope))
    yield Route.FILE, web.get(file, files.file(find_scope))


def _upload(path: str, find_project: FindProject) -> Iterator[Counted]:
    """An upload URL takes the form with and without its slash: it never redirects."""
    handler = upload.upload(find_project)
    yield Route.UPLOAD, web.post(path, handler)
    yield Route.UPLOAD, web.post(f"{path}/", handler)
