"""Which group or project a route speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import NotFound
from proxy.web.site import SITE

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from aiohttp import web

    from proxy.core.policy import Scope
    from proxy.core.registry import Group, Project

    FindScope: TypeAlias = Callable[[web.Request], Scope]
    FindProject: TypeAlias = Callable[[web.Request], Project]


def group(request: web.Request) -> Group:
    """`/api/v4/groups/{id}/…`; raises NotFound."""
    found = request[SITE].registry.find_group(request.match_info["id"])
    if found is None:
        raise NotFound("404 Not Found")
    return found


def project(request: web.Request) -> Project:
    """`/api/v4/projects/{id}/…`; raises NotFound."""
    found = request[SITE].registry.find_project(request.match_info["id"])
    if found is None:
        raise NotFound("404 Not Found")
    return found


def short(request: web.Request) -> Scope:
    """`/simple/…` and `/files/…`: the default group; raises NotFound."""
    site = request[SITE]
    if site.short_scope is None:
        raise NotFound(_unset("default_group", site.default_group))
    return site.short_scope


def short_project(request: web.Request) -> Project:
    """`POST /` and `/legacy/`: the default project; raises NotFound."""
    site = request[SITE]
    if site.short_project is None:
        raise NotFound(_unset("default_project", site.default_project))
    return site.short_project


def _unset(key: str, value: str) -> str:
    return f"404 Not Found - the config has no {value}; set server.{key}, or use the routes under /api/v4/"
