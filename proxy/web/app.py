"""The application: its routes as a list, its hooks, and nothing that decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from proxy.web import files, ops, packages_api, scopes, simple, upload
from proxy.web.expect import leave_to_handlers
from proxy.web.middleware import MIDDLEWARES, add_request_id
from proxy.web.server_log import leave_requests_out
from proxy.web.site import CURRENT, Current

if TYPE_CHECKING:
    from proxy.web.scopes import FindProject, FindScope

_PROJECT = "/api/v4/projects/{id}/packages/pypi"
_GROUP = "/api/v4/groups/{id}/-/packages/pypi"


def build_app() -> web.Application:
    """The application; it serves once `app[CURRENT]` has a site."""
    leave_requests_out()
    app = web.Application(middlewares=MIDDLEWARES)
    app[CURRENT] = Current()
    app.on_response_prepare.append(add_request_id)
    app.add_routes(leave_to_handlers(_routes()))
    return app


def _routes() -> list[web.RouteDef]:
    return [
        *_index(_PROJECT, scopes.project),
        *_index(_GROUP, scopes.group),
        *_index("", scopes.short),
        *_upload(_PROJECT, scopes.project),
        web.post(f"{_PROJECT}/authorize", upload.authorize(scopes.project)),
        *_upload("/legacy", scopes.short_project),
        web.post("/", upload.upload(scopes.short_project)),
        *packages_api.routes(),
        web.get("/-/health", ops.alive),
        web.get("/-/liveness", ops.alive),
        web.get("/-/readiness", ops.ready),
    ]


def _index(prefix: str, find_scope: FindScope) -> list[web.RouteDef]:
    """The reading routes of one index: project, group, or the short form."""
    return [
        web.get(f"{prefix}/simple", simple.add_slash),
        web.get(f"{prefix}/simple/", simple.root(find_scope)),
        web.get(f"{prefix}/simple/{{name}}", simple.add_slash),
        web.get(f"{prefix}/simple/{{name}}/", simple.detail(find_scope)),
        web.get(f"{prefix}/files/{{sha256}}/{{filename}}.metadata", files.metadata(find_scope)),
        web.get(f"{prefix}/files/{{sha256}}/{{filename}}.provenance", files.provenance(find_scope)),
        web.get(f"{prefix}/files/{{sha256}}/{{filename}}", files.file(find_scope)),
    ]


def _upload(path: str, find_project: FindProject) -> list[web.RouteDef]:
    """An upload URL takes the form with and without its slash: it never redirects."""
    handler = upload.upload(find_project)
    return [web.post(path, handler), web.post(f"{path}/", handler)]
