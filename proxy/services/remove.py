"""What an administrator takes back: published files, and the claim that they left on a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from packaging.version import Version

from proxy.core.errors import NameHeld, NotFound
from proxy.ports import LocalStore, ReleaseStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.core.local import LocalFile
    from proxy.core.names import Filename, ProjectName
    from proxy.core.registry import Group, Project, Registry


class Store(LocalStore, ReleaseStore, Protocol):
    """What removing needs of the MetadataStore."""


class Remover:
    def __init__(self, registry: Registry, store: Store) -> None:
        self._registry = registry
        self._store = store

    async def delete(
        self, project: Project, name: ProjectName, version: Version, filename: Filename | None = None
    ) -> Sequence[LocalFile]:
        """Delete the files of a version, or one of them; returns what was deleted. Raises NotFound.

        The name stays local: it is never asked of an upstream until it is released.
        """
        files = await self._store.list_files((project.id,), name)
        wanted = [file for file in files if Version(file.version) == version and filename in {None, file.filename}]
        if not wanted:
            raise NotFound(f"{project.path} has no {filename or f'{name} {version}'}")
        await self._store.delete_files([file.id for file in wanted], root=self._registry.root_of(project).id)
        return wanted

    async def release(self, group: Group, name: ProjectName) -> Group:
        """Give a name back to forwarding, in the whole top-level group, which is returned.

        Raises NameHeld while a project there has files of it, NotFound where it was never published there.
        """
        root = self._registry.root_of(group)
        projects = {project.id: project for project in self._registry.projects_of(root)}
        facts = await self._store.find_facts(root.id, projects, name)
        if facts.holders:
            holders = ", ".join(sorted(projects[holder].path for holder in facts.holders))
            raise NameHeld(f"{name} still has files in {holders}; delete them first")
        if not await self._store.release_name(root.id, projects, name):
            raise NotFound(f"{name} was never published in {root.path}, or was released before")
        return root
