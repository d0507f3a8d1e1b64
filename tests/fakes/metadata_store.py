"""A MetadataStore in memory that keeps the port's promises, for the tests of what stands on the port.

Like the real one it gives other tasks a turn in each call. While `trouble` is set, each call raises it: a full disk is
`store.trouble = StorageFull("…")`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import structs

from proxy.core.errors import NameTaken, StorageTrouble
from proxy.core.local import LocalFile, NewFile
from proxy.core.model import ProjectStatus, Status
from proxy.core.policy import LocalFacts
from proxy.ports import PageFacts, PageVersion
from tests.fakes.cache import MemoryCache
from tests.fakes.releases import MemoryReleases
from tests.fakes.tokens import MemoryTokens

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from proxy.core.digests import Sha256
    from proxy.core.model import PageEntry
    from proxy.core.names import Filename, ProjectName

_SEVERITY = (Status.ACTIVE, Status.DEPRECATED, Status.ARCHIVED, Status.QUARANTINED)


class MemoryMetadataStore(MemoryCache, MemoryTokens, MemoryReleases):
    def __init__(self) -> None:
        super().__init__()
        self.trouble: StorageTrouble | None = None
        self.uploads: dict[int, NewFile] = {}  # by file id
        self.core_metadata: dict[tuple[str, ProjectName], dict[Sha256, Sha256]] = {}

    def generation(self) -> bytes:
        return repr((self.files, self.claims, self.statuses)).encode()

    async def probe(self) -> None:
        await self._turn()

    async def find_page(self, upstream: str, name: ProjectName) -> PageEntry | None:
        await self._turn()
        return self.pages.get((upstream, name))

    async def find_page_facts(self, upstream: str, name: ProjectName) -> PageFacts | None:
        page = await self.find_page(upstream, name)
        return (
            None if page is None else PageFacts(page.checked_at, PageVersion(page.validators, page.links, page.serial))
        )

    async def save_page(self, entry: PageEntry) -> None:
        await self._turn()
        self.pages[entry.upstream, entry.detail.name] = entry

    async def confirm_page(self, entry: PageEntry) -> bool:
        await self._turn()
        kept = self.pages.get((entry.upstream, entry.detail.name))
        if kept is None or _version_of(kept) != _version_of(entry):
            return False
        self.pages[entry.upstream, entry.detail.name] = structs.replace(kept, checked_at=entry.checked_at)
        return True

    async def delete_page(self, upstream: str, name: ProjectName) -> None:
        await self._turn()
        self.pages.pop((upstream, name), None)

    async def list_core_metadata(self, upstream: str, name: ProjectName) -> Mapping[Sha256, Sha256]:
        await self._turn()
        return dict(self.core_metadata.get((upstream, name), {}))

    async def save_core_metadata(self, upstream: str, name: ProjectName, wheel: Sha256, metadata: Sha256) -> None:
        await self._turn()
        self.core_metadata.setdefault((upstream, name), {})[wheel] = metadata

    async def find_facts(self, root: int, projects: Collection[int], name: ProjectName) -> LocalFacts:
        await self._turn()
        holders = frozenset(file.project_id for file in self._held(projects, name))
        return LocalFacts(bool(holders) or (root, name) in self.claims, holders)

    async def publish(self, file: NewFile, *, root: int, now: datetime) -> LocalFile:
        await self._turn()
        if any((one.project_id, one.filename) == (file.project_id, file.filename) for one in self.files):
            raise NameTaken("Validation failed: File name has already been taken")
        published = _published(file, len(self.uploads) + 1, self.keep_release(file, now), now)
        self.files.append(published)
        self.uploads[published.id] = file
        self.claims.add((root, file.name))
        return published

    async def list_files(self, projects: Collection[int], name: ProjectName) -> Sequence[LocalFile]:
        await self._turn()
        return self._held(projects, name)

    async def list_names(self, projects: Collection[int]) -> Sequence[ProjectName]:
        await self._turn()
        return sorted({file.name for file in self.files if file.project_id in projects})

    async def find_status(self, projects: Collection[int], name: ProjectName) -> ProjectStatus | None:
        await self._turn()
        found = [self.statuses[project, name] for project in sorted(projects) if (project, name) in self.statuses]
        return max(found, key=lambda one: _SEVERITY.index(one.status), default=None)

    async def save_yank(self, files: Collection[int], reason: str | None) -> None:
        await self._turn()
        self.files = [structs.replace(file, yanked=reason) if file.id in files else file for file in self.files]

    async def find_attestations(self, file: int) -> str | None:
        await self._turn()
        return next((self.uploads[file].attestations for held in self.files if held.id == file), None)

    async def save_status(self, project_id: int, name: ProjectName, status: ProjectStatus) -> None:
        await self._turn()
        self.statuses[project_id, name] = status

    async def find_file(self, projects: Collection[int], sha256: Sha256, filename: Filename) -> LocalFile | None:
        await self._turn()
        wanted = (sha256, filename)
        held = (file for file in reversed(self.files) if file.project_id in projects)
        return next((file for file in held if (file.digests.sha256, file.filename) == wanted), None)

    def _held(self, projects: Collection[int], name: ProjectName) -> list[LocalFile]:
        return [file for file in self.files if file.name == name and file.project_id in projects]

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        if self.trouble:
            raise self.trouble


def _version_of(entry: PageEntry) -> object:
    return entry.validators, entry.links, entry.serial


def _published(file: NewFile, file_id: int, release_id: int, now: datetime) -> LocalFile:
    return LocalFile(
        id=file_id,
        release_id=release_id,
        project_id=file.project_id,
        name=file.name,
        raw_name=file.raw_name,
        version=file.version,
        filename=file.filename,
        kind=file.kind,
        digests=file.digests,
        requires_python=file.requires_python,
        core_metadata=file.core_metadata,
        has_provenance=file.attestations is not None,
        uploaded_at=now,
        published_by=file.published_by,
    )
