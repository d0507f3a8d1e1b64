"""GitLab's packages: releases listed, shown and deleted, to whom GitLab's packages API would.

That API never asks anybody to log in: what a caller may not read is not there (404), what they may not delete is
forbidden (403), to anonymous callers too. It takes no deploy tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from proxy.core.access import Action, Anonymous, Kind, Verdict, may, protects
from proxy.core.errors import Forbidden, LacksScope, NotFound, Unauthorized
from proxy.core.metrics import Deleted
from proxy.core.policy import PACKAGE_NOT_FOUND, readable_projects
from proxy.core.registry import Group
from proxy.core.releases import PackageType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxy.core.access import Principal
    from proxy.core.local import LocalFile, Release, ReleaseVersion
    from proxy.core.policy import Scope
    from proxy.core.registry import Project, Registry
    from proxy.core.releases import Page, ReleaseQuery
    from proxy.ports import ReleaseStore

PROJECT_NOT_FOUND = "404 Project Not Found"
GROUP_NOT_FOUND = "404 Group Not Found"
FILE_NOT_FOUND = "404 Not Found"


class Package(NamedTuple):
    """A release and where it lies; `deletable` says whether the caller may delete it."""

    release: Release
    project: Project
    deletable: bool


class PackageList(NamedTuple):
    """One page, and how many there are on all."""

    packages: Sequence[Package]
    total: int


class Packages:
    """Every method raises Refused as the caller's access says; NotFound where there is no such package or file.

    A deleted file's blob stays, so that nobody who is reading it is cut off and the same bytes may be published again
    meanwhile; what no row names is swept later. `on_deleted` is told of each deletion.
    """

    def __init__(
        self, registry: Registry, store: ReleaseStore, on_deleted: Callable[[Deleted], None] = lambda _: None
    ) -> None:
        self._registry = registry
        self._store = store
        self._on_deleted = on_deleted

    async def list(
        self, caller: Principal, scope: Scope, query: ReleaseQuery, page: Page, *, subgroups: bool = True
    ) -> PackageList:
        """The packages of a project, or of those of a group's projects that the caller may read."""
        _check_readable(caller, scope)
        if query.type is not PackageType.PYPI:
            return PackageList((), 0)
        projects = {project.id: project for project in self._projects(caller, scope, subgroups=subgroups)}
        total = await self._store.count_releases(tuple(projects), query)
        releases = await self._store.list_releases(tuple(projects), query, page)
        return PackageList([_package(caller, projects[each.project_id], each) for each in releases], total)

    async def get(self, caller: Principal, project: Project, package: int) -> Package:
        _check_readable(caller, project)
        return _package(caller, project, await self._get_release(project, package))

    async def list_versions(self, package: Package) -> Sequence[ReleaseVersion]:
        """The other releases of the package's name in its project."""
        release = package.release
        versions = await self._store.list_versions(release.project_id, release.name)
        return [version for version in versions if version.id != release.id]

    async def list_files(self, caller: Principal, project: Project, package: int) -> Sequence[LocalFile]:
        _check_readable(caller, project)
        release = await self._get_release(project, package)
        return await self._store.list_release_files(release.id)

    async def delete(self, caller: Principal, project: Project, package: int) -> None:
        """Delete a release with its files; the name stays local until it is released."""
        release = await self._get_deletable(caller, project, package)
        if not await self._store.delete_release(release.id, root=self._registry.root_of(project).id):
            raise NotFound(PACKAGE_NOT_FOUND)
        self._on_deleted(Deleted.PACKAGE)

    async def delete_file(self, caller: Principal, project: Project, package: int, file: int) -> None:
        """Delete one file; the last one takes its release along."""
        release = await self._get_deletable(caller, project, package)
        files = await self._store.list_release_files(release.id)
        wanted = [each.id for each in files if each.id == file]
        if not await self._store.delete_files(wanted, root=self._registry.root_of(project).id):
            raise NotFound(FILE_NOT_FOUND)
        self._on_deleted(Deleted.FILE)

    def _projects(self, caller: Principal, scope: Scope, *, subgroups: bool) -> Sequence[Project]:
        """Ordered by path."""
        if not isinstance(scope, Group):
            return (scope,)
        readable = readable_projects(self._registry, caller, scope)
        wanted = (project for project in readable if subgroups or project.group == scope.path)
        return sorted(wanted, key=lambda project: project.path)

    async def _get_release(self, project: Project, package: int) -> Release:
        release = await self._store.find_release(project.id, package)
        if release is None:
            raise NotFound(PACKAGE_NOT_FOUND)
        return release

    async def _get_deletable(self, caller: Principal, project: Project, package: int) -> Release:
        """Checked in GitLab's order: a caller without the role is not told whether the package exists."""
        _check_readable(caller, project)
        _check_deleter(caller, project)
        release = await self._get_release(project, package)
        if protects(caller, Action.DELETE, project, release.name):
            raise Forbidden("403 Forbidden - Package is deletion protected.")
        return release


def _package(caller: Principal, project: Project, release: Release) -> Package:
    deletable = may(caller, Action.DELETE, project) is Verdict.ALLOWED and not protects(
        caller, Action.DELETE, project, release.name
    )
    return Package(release, project, deletable)


def _check_readable(caller: Principal, scope: Scope) -> None:
    if caller.kind is Kind.DEPLOY:
        raise Unauthorized("401 Unauthorized - deploy tokens are not accepted here; use a personal or a job token")
    verdict = may(caller, Action.READ, scope)
    if verdict is Verdict.LACKS_SCOPE:
        raise LacksScope
    if verdict is Verdict.UNAUTHORIZED and caller.anonymous is Anonymous.NONE:
        raise Unauthorized("401 Unauthorized")
    if verdict is not Verdict.ALLOWED:
        raise NotFound(GROUP_NOT_FOUND if isinstance(scope, Group) else PROJECT_NOT_FOUND)


def _check_deleter(caller: Principal, project: Project) -> None:
    verdict = may(caller, Action.DELETE, project)
    if verdict is Verdict.LACKS_SCOPE:
        raise LacksScope
    if verdict is not Verdict.ALLOWED:
        raise Forbidden("403 Forbidden")
