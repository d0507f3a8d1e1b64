"""GitLab's packages API: the packages of projects and groups listed and shown, packages and their files deleted.

Parameters are checked before anything is looked for: a fault in them is no way to learn what is hidden.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from proxy.core.errors import NotFound
from proxy.core.local import ReleaseStatus
from proxy.core.releases import FileOrder, PackageType, ReleaseOrder, ReleaseQuery, Sort, search_words, sort_files
from proxy.services.packages import GROUP_NOT_FOUND, PROJECT_NOT_FOUND
from proxy.web.caller import caller_of, privately
from proxy.web.credentials import check_no_browser
from proxy.web.package_json import file_json, package_json
from proxy.web.pagination import base_url, pagination
from proxy.web.parameters import Parameters
from proxy.web.site import SITE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from msgspec import Struct

    from proxy.core.access import Principal
    from proxy.core.registry import Group, Project

_PROJECT = "/api/v4/projects/{id}/packages"
_PACKAGE = f"{_PROJECT}/{{package_id:[0-9]{{1,18}}}}"
_FILES = f"{_PACKAGE}/package_files"


def routes() -> list[web.RouteDef]:
    return [
        web.get("/api/v4/groups/{id}/packages", list_of_group),
        web.get(_PROJECT, list_of_project),
        web.get(_PACKAGE, show),
        web.delete(_PACKAGE, delete),
        web.get(_FILES, list_files),
        web.delete(f"{_FILES}/{{file_id:[0-9]{{1,18}}}}", delete_file),
    ]


async def list_of_project(request: web.Request) -> web.StreamResponse:
    """`GET /api/v4/projects/{id}/packages`."""
    parameters = Parameters(request.query)
    query, page = _query(parameters), parameters.page()
    parameters.check()
    project, caller = _project(request), caller_of(request)
    found = await request[SITE].packages.list(caller, project, query, page)
    entries = [package_json(package, base_url(request)) for package in found.packages]
    return _answer(caller, entries, pagination(request, page, found.total))


async def list_of_group(request: web.Request) -> web.StreamResponse:
    """`GET /api/v4/groups/{id}/packages`."""
    parameters = Parameters(request.query)
    query, page, subgroups = _query(parameters), parameters.page(), not parameters.flag("exclude_subgroups")
    parameters.check()
    group, caller = _group(request), caller_of(request)
    found = await request[SITE].packages.list(caller, group, query, page, subgroups=subgroups)
    entries = [package_json(package, base_url(request), in_group=True) for package in found.packages]
    return _answer(caller, entries, pagination(request, page, found.total))


async def show(request: web.Request) -> web.StreamResponse:
    """`GET /api/v4/projects/{id}/packages/{package_id}`."""
    project, caller, packages = _project(request), caller_of(request), request[SITE].packages
    package = await packages.get(caller, project, _id(request, "package_id"))
    versions = await packages.list_versions(package)
    return _answer(caller, package_json(package, base_url(request), versions=versions))


async def list_files(request: web.Request) -> web.StreamResponse:
    """`GET …/packages/{package_id}/package_files`."""
    parameters = Parameters(request.query)
    order, sort = parameters.choice("order_by", FileOrder.ID), parameters.choice("sort", Sort.ASC)
    page = parameters.page()
    parameters.check()
    project, caller = _project(request), caller_of(request)
    files = await request[SITE].packages.list_files(caller, project, _id(request, "package_id"))
    ordered = sort_files(files, order, descending=sort is Sort.DESC)
    entries = [file_json(file) for file in ordered[page.offset : page.offset + page.size]]
    return _answer(caller, entries, pagination(request, page, len(files)))


async def delete(request: web.Request) -> web.StreamResponse:
    """`DELETE …/packages/{package_id}`."""
    check_no_browser(request)
    project, caller = _project(request), caller_of(request)
    await request[SITE].packages.delete(caller, project, _id(request, "package_id"))
    return web.Response(status=204)


async def delete_file(request: web.Request) -> web.StreamResponse:
    """`DELETE …/packages/{package_id}/package_files/{file_id}`."""
    check_no_browser(request)
    project, caller = _project(request), caller_of(request)
    package, file = _id(request, "package_id"), _id(request, "file_id")
    await request[SITE].packages.delete_file(caller, project, package, file)
    return web.Response(status=204)


def _query(parameters: Parameters) -> ReleaseQuery:
    parameters.flag("include_versionless")  # changes nothing: what is published here has a version
    return ReleaseQuery(
        type=parameters.choice("package_type", PackageType.PYPI),
        words=search_words(parameters.text("package_name") or ""),
        version=parameters.text("package_version"),
        status=parameters.find_choice("status", ReleaseStatus),
        order=parameters.choice("order_by", ReleaseOrder.CREATED_AT),
        descending=parameters.choice("sort", Sort.ASC) is Sort.DESC,
    )


def _project(request: web.Request) -> Project:
    """In the words for a project that the caller may not see; raises NotFound."""
    project = request[SITE].registry.find_project(request.match_info["id"])
    if project is None:
        raise NotFound(PROJECT_NOT_FOUND)
    return project


def _group(request: web.Request) -> Group:
    group = request[SITE].registry.find_group(request.match_info["id"])
    if group is None:
        raise NotFound(GROUP_NOT_FOUND)
    return group


def _id(request: web.Request, name: str) -> int:
    return int(request.match_info[name])


def _answer(
    caller: Principal, body: Struct | Sequence[Struct], headers: Mapping[str, str] | None = None
) -> web.Response:
    caching = {"Cache-Control": privately(caller, "no-cache"), "X-Content-Type-Options": "nosniff"}
    return web.Response(
        body=msgspec.json.encode(body), content_type="application/json", headers={**caching, **(headers or {})}
    )
