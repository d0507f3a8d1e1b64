"""What may be said of published releases afterwards: yanked, and the status of their project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from proxy.core.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.core.local import LocalFile
    from proxy.core.model import ProjectStatus
    from proxy.core.names import ProjectName
    from proxy.core.registry import Project
    from proxy.ports import LocalStore


class Curator:
    def __init__(self, store: LocalStore) -> None:
        self._store = store

    async def yank(self, project: Project, name: ProjectName, version: Version, reason: str) -> Sequence[LocalFile]:
        """Have installers pass over a release unless it is pinned (PEP 592); returns its files. Raises NotFound."""
        return await self._save_yank(project, name, version, reason)

    async def unyank(self, project: Project, name: ProjectName, version: Version) -> Sequence[LocalFile]:
        return await self._save_yank(project, name, version, None)

    async def set_status(self, project: Project, name: ProjectName, status: ProjectStatus) -> None:
        """Mark a project (PEP 792); raises NotFound where nothing of that name was published into it."""
        if not await self._store.list_files((project.id,), name):
            raise NotFound(f"{project.path} has no {name}")
        await self._store.save_status(project.id, name, status)

    async def _save_yank(
        self, project: Project, name: ProjectName, version: Version, reason: str | None
    ) -> Sequence[LocalFile]:
        files = await self._store.list_files((project.id,), name)
        release = [file for file in files if Version(file.version) == version]
        if not release:
            raise NotFound(f"{project.path} has no {name} {version}")
        await self._store.save_yank([file.id for file in release], reason)
        return release
