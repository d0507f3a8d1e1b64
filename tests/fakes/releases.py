"""The part of MemoryMetadataStore that fills ReleaseStore, over the files and claims of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from proxy.core.errors import NameHeld
from proxy.core.local import Release, ReleaseStatus, ReleaseVersion
from proxy.core.model import ProjectStatus, Status
from proxy.core.releases import ReleaseOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from proxy.core.local import LocalFile, NewFile
    from proxy.core.names import ProjectName
    from proxy.core.releases import Page, ReleaseQuery


class MemoryReleases:
    """`keep_release` is for `publish`; ids are never given twice."""

    def __init__(self) -> None:
        self.files: list[LocalFile] = []
        self.claims: set[tuple[int, ProjectName]] = set()
        self.statuses: dict[tuple[int, ProjectName], ProjectStatus] = {}
        self.releases: dict[int, Release] = {}
        self._last_release = 0

    async def list_releases(self, projects: Sequence[int], query: ReleaseQuery, page: Page) -> Sequence[Release]:
        await self._turn()
        found = sorted(self._matching(projects, query), key=_key(projects, query.order), reverse=query.descending)
        return found[page.offset : page.offset + page.size]

    async def count_releases(self, projects: Sequence[int], query: ReleaseQuery) -> int:
        await self._turn()
        return len(self._matching(projects, query))

    async def find_release(self, project_id: int, release: int) -> Release | None:
        await self._turn()
        found = self.releases.get(release)
        return self._shown(found) if found and found.project_id == project_id else None

    async def list_versions(self, project_id: int, name: ProjectName) -> Sequence[ReleaseVersion]:
        await self._turn()
        held = (each for each in self.releases.values() if (each.project_id, each.name) == (project_id, name))
        return [ReleaseVersion(each.id, each.version, each.created_at) for each in held]

    async def list_release_files(self, release: int) -> Sequence[LocalFile]:
        await self._turn()
        return [file for file in self.files if file.release_id == release]

    async def delete_release(self, release: int, *, root: int) -> bool:
        await self._turn()
        found = self.releases.get(release)
        self._remove([file for file in self.files if file.release_id == release], root)
        return found is not None

    async def delete_files(self, files: Collection[int], *, root: int) -> int:
        await self._turn()
        return self._remove([file for file in self.files if file.id in files], root)

    async def record_downloads(self, downloads: Mapping[int, datetime]) -> None:
        await self._turn()
        for release, at in downloads.items():
            if found := self.releases.get(release):
                latest = max(found.last_downloaded_at or at, at)
                self.releases[release] = structs.replace(found, last_downloaded_at=latest)

    async def release_name(self, root: int, projects: Collection[int], name: ProjectName) -> bool:
        await self._turn()
        if any(file.name == name and file.project_id in projects for file in self.files):
            raise NameHeld(f"{name} still has files; delete them first")
        held = (root, name) in self.claims
        self.claims.discard((root, name))
        return held

    def keep_release(self, file: NewFile, now: datetime) -> int:
        """The id of the file's release, which now says what this upload says."""
        known = (each for each in self.releases.values() if _identity(each) == _identity(file))
        release = next(known, None) or self._new_release(file, now)
        self.releases[release.id] = structs.replace(
            release, requires_python=file.requires_python, metadata=file.metadata
        )
        return release.id

    def _new_release(self, file: NewFile, now: datetime) -> Release:
        self._last_release += 1
        return Release(
            id=self._last_release,
            project_id=file.project_id,
            name=file.name,
            raw_name=file.raw_name,
            version=file.version,
            status=ReleaseStatus.DEFAULT,
            created_at=now,
            last_downloaded_at=None,
            requires_python=file.requires_python,
            metadata=file.metadata,
        )

    def _remove(self, files: Sequence[LocalFile], root: int) -> int:
        self.files = [file for file in self.files if file not in files]
        self.claims |= {(root, file.name) for file in files}
        left = {file.release_id for file in self.files}
        self.releases = {release: value for release, value in self.releases.items() if release in left}
        return len(files)

    def _matching(self, projects: Sequence[int], query: ReleaseQuery) -> list[Release]:
        held = (self._shown(release) for release in self.releases.values() if release.project_id in projects)
        return [
            release
            for release in held
            if all(word in release.name for word in query.words)
            and query.version in {None, release.version}
            and query.status in {None, release.status}
        ]

    def _shown(self, release: Release) -> Release:
        marked = self.statuses.get((release.project_id, release.name), ProjectStatus())
        deprecated = marked.status is Status.DEPRECATED
        return structs.replace(release, status=ReleaseStatus.DEPRECATED if deprecated else ReleaseStatus.DEFAULT)

    async def _turn(self) -> None:
        raise NotImplementedError  # a mixin: MemoryMetadataStore has it


def _identity(release: Release | NewFile) -> tuple[int, str, str]:
    return release.project_id, release.raw_name, release.version


def _key(projects: Sequence[int], order: ReleaseOrder) -> Callable[[Release], tuple[object, ...]]:
    keys: dict[ReleaseOrder, Callable[[Release], object]] = {
        ReleaseOrder.CREATED_AT: lambda release: release.created_at,
        ReleaseOrder.NAME: lambda release: release.name,
        ReleaseOrder.VERSION: lambda release: release.version,
        ReleaseOrder.TYPE: lambda _: 0,
        ReleaseOrder.PROJECT_PATH: lambda release: projects.index(release.project_id),
    }
    return lambda release: (keys[order](release), release.id)
