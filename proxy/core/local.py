"""What is published here: values between the upload form, the store and the pages."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from proxy.core.digests import Digests, Sha256
from proxy.core.distributions import Kind
from proxy.core.model import File
from proxy.core.names import Filename, ProjectName


class ReleaseMetadata(Struct, frozen=True):
    """The fields of the form that GitLab keeps with a release, cut to GitLab's lengths."""

    metadata_version: str = ""
    author_email: str = ""
    summary: str = ""
    description: str = ""
    description_content_type: str = ""
    keywords: str = ""


class NewFile(Struct, frozen=True):
    """A validated upload, ready to be published. `raw_name` and `version` are as the client sent them.

    `core_metadata` is the digest of the blob that holds the file's METADATA or PKG-INFO, None where it has none to
    serve (only wheels offer theirs, PEP 658). `attestations` is the JSON text of PEP 740 attestation objects, or None.
    """

    project_id: int
    name: ProjectName
    raw_name: str
    version: str
    filename: Filename
    kind: Kind
    digests: Digests
    requires_python: str = ""
    core_metadata: Sha256 | None = None
    attestations: str | None = None
    metadata: ReleaseMetadata = ReleaseMetadata()
    published_by: str = ""


class LocalFile(Struct, frozen=True):
    """A published file. `yanked` is None, or the reason (perhaps empty)."""

    id: int
    release_id: int
    project_id: int
    name: ProjectName
    raw_name: str
    version: str
    filename: Filename
    kind: Kind
    digests: Digests
    requires_python: str
    core_metadata: Sha256 | None
    has_provenance: bool
    uploaded_at: datetime
    published_by: str
    yanked: str | None = None

    def listed(self) -> File:
        """The file as a page shows it; an empty `provenance` says that there is one here."""
        return File(
            filename=self.filename,
            url="",
            hashes={"sha256": self.digests.sha256},
            size=self.digests.size,
            requires_python=self.requires_python or None,
            upload_time=self.uploaded_at,
            yanked=False if self.yanked is None else (self.yanked or True),
            core_metadata={"sha256": self.core_metadata} if self.core_metadata else False,
            provenance="" if self.has_provenance else None,
        )


class ReleaseStatus(StrEnum):
    """GitLab's package statuses. What is published here is `default`, or `deprecated` as its project is (PEP 792)."""

    DEFAULT = "default"
    DEPRECATED = "deprecated"
    ERROR = "error"
    HIDDEN = "hidden"
    PENDING_DESTRUCTION = "pending_destruction"
    PROCESSING = "processing"


class Release(Struct, frozen=True):
    """What GitLab calls a package: the files of one project, raw name and raw version, of which there is one at least.

    `raw_name` and `version` are as they were uploaded, `requires_python` and `metadata` those of the last upload.
    `last_downloaded_at` is None where nobody fetched a file of it yet.
    """

    id: int
    project_id: int
    name: ProjectName
    raw_name: str
    version: str
    status: ReleaseStatus
    created_at: datetime
    last_downloaded_at: datetime | None
    requires_python: str
    metadata: ReleaseMetadata


class ReleaseVersion(Struct, frozen=True):
    """A release as its neighbours name it."""

    id: int
    version: str
    created_at: datetime
