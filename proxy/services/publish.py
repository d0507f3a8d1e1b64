"""Publishing: an upload is received into a part, validated as a whole, made durable, and then exists by its row."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from proxy.core.access import Action, protects
from proxy.core.archive import ArchiveMetadata, read_archive
from proxy.core.distributions import Kind, parse_distribution
from proxy.core.errors import FileTooLarge, Forbidden, NameTaken, NotStored, StorageFull, StorageTrouble
from proxy.core.form_of import form_of
from proxy.core.model import Status
from proxy.core.policy import check_access
from proxy.core.registry import Duplicates
from proxy.core.upload import check_form, validate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from proxy.core.access import Principal
    from proxy.core.local import LocalFile, NewFile
    from proxy.core.names import Filename, ProjectName
    from proxy.core.registry import Project, Registry
    from proxy.core.upload import Claimed, UploadForm
    from proxy.ports import BlobStore, BlobWriter, Clock, LocalStore

_CLOSED = {Status.ARCHIVED, Status.QUARANTINED}


class Upload(NamedTuple):
    """An upload under way: who publishes where, and the part that takes the file's bytes."""

    caller: Principal
    project: Project
    part: BlobWriter
    max_size: int

    async def write(self, data: bytes) -> None:
        """Take in bytes of the file; raises FileTooLarge."""
        if self.part.size + len(data) > self.max_size:
            raise FileTooLarge("File is too large")
        await self.part.write(data)


class Publisher:
    """`on_published` is told of each file that was not there before."""

    def __init__(
        self,
        registry: Registry,
        store: LocalStore,
        blobs: BlobStore,
        clock: Clock,
        max_upload_size: int,
        on_published: Callable[[LocalFile], None] = lambda _: None,
    ) -> None:
        self._registry = registry
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._max_upload_size = max_upload_size
        self._on_published = on_published

    def authorize(self, caller: Principal, project: Project) -> None:
        """Raises Refused unless the caller may publish into the project."""
        if refused := check_access(caller, Action.PUBLISH, project):
            raise refused

    @asynccontextmanager
    async def receive(self, caller: Principal, project: Project) -> AsyncIterator[Upload]:
        """An upload to write to and then to `publish`; what was not published by the end leaves nothing behind.

        Raises StorageFull, and NotStored where the data directory does not take it for another reason.
        """
        self.authorize(caller, project)
        try:
            async with self._part() as part:
                yield Upload(caller, project, part, self._max_upload_size)
        except StorageFull:
            raise
        except StorageTrouble as error:  # read-only, not allowed, broken: what was sent cannot be kept
            raise NotStored(error.message) from error.__cause__ or error

    async def publish(self, upload: Upload, form: UploadForm) -> LocalFile:
        """Validate what was received and make it exist; raises InvalidUpload, NameTaken, Forbidden, StorageTrouble."""
        claimed = check_form(form)
        await self._check_open(upload, claimed.name)
        if (taken := await self._find_taken(upload, claimed)) is not None:
            _check_same(upload, taken)
        return await self._publish(upload, claimed, await self._read_archive(upload, claimed.filename, claimed.kind))

    async def publish_as_described(self, upload: Upload, filename: Filename) -> LocalFile:
        """As `publish`, by what the file's own metadata says in place of a form."""
        archive = await self._read_archive(upload, filename, parse_distribution(filename).kind)
        claimed = check_form(form_of(archive.metadata, filename))
        await self._check_open(upload, claimed.name)
        return await self._publish(upload, claimed, archive)

    async def holds(self, project: Project, filename: Filename) -> bool:
        """Whether the project has a file of this name."""
        name = parse_distribution(filename).project
        return any(file.filename == filename for file in await self._store.list_files((project.id,), name))

    @asynccontextmanager
    async def _part(self) -> AsyncIterator[BlobWriter]:
        part = await self._blobs.writer(full_digests=True)
        try:
            yield part
        finally:
            await part.close()

    async def _publish(self, upload: Upload, claimed: Claimed, archive: ArchiveMetadata) -> LocalFile:
        new = validate(
            claimed,
            project_id=upload.project.id,
            digests=upload.part.digests(),
            metadata=archive,
            published_by=upload.caller.username or upload.caller.name,
        )
        async with self._part() as companion:  # like the upload's own it is held until the row that names it is in
            await upload.part.commit()
            if new.kind is Kind.WHEEL:
                await companion.write(archive.metadata)
                await companion.commit()
            try:
                return await self._add(new, upload.project)
            except NameTaken:
                if (taken := await self._find_taken(upload, claimed)) is None:
                    raise
                _check_same(upload, taken)
                return taken  # its bytes were kept once more: a blob that was lost is there again

    async def _check_open(self, upload: Upload, name: ProjectName) -> None:
        """A protected name, or a project that is archived or quarantined (PEP 792), takes no uploads."""
        if protects(upload.caller, Action.PUBLISH, upload.project, name):
            raise Forbidden("403 Forbidden - Package protected.")
        status = await self._store.find_status((upload.project.id,), name)
        if status is not None and status.status in _CLOSED:
            raise Forbidden(f"403 Forbidden - Project is {status.status}.")

    async def _find_taken(self, upload: Upload, claimed: Claimed) -> LocalFile | None:
        files = await self._store.list_files((upload.project.id,), claimed.name)
        return next((file for file in files if file.filename == claimed.filename), None)

    async def _read_archive(self, upload: Upload, filename: Filename, kind: Kind) -> ArchiveMetadata:
        def read() -> ArchiveMetadata:
            with upload.part.reader() as file:
                return read_archive(file, filename, kind)

        try:
            return await asyncio.to_thread(read)
        except OSError as error:
            raise StorageTrouble("the data directory cannot be read") from error

    async def _add(self, new: NewFile, project: Project) -> LocalFile:
        root = self._registry.root_of(project)
        published = await self._store.publish(new, root=root.id, now=self._clock.now())
        self._on_published(published)
        return published


def _check_same(upload: Upload, taken: LocalFile) -> None:
    """The same bytes once more are no fault where the project says so; raises NameTaken."""
    same = upload.part.digests().sha256 == taken.digests.sha256
    if not same or upload.project.duplicates is not Duplicates.IDENTICAL:
        raise NameTaken("Validation failed: File name has already been taken")
