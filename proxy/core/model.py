"""What an index says, as frozen values; the fields are those of the Simple API (PEP 691, 700, 714, 740, 792).

Parsers make these, renderers read them, the store keeps them. A field that an index does not give is absent here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from proxy.core.digests import Sha256
from proxy.core.names import ProjectName

LOCAL = "local"
Origin: TypeAlias = str
"""Where a project or file comes from: LOCAL, or the name of an upstream."""


class Status(StrEnum):
    """Project status markers (PEP 792)."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    QUARANTINED = "quarantined"
    DEPRECATED = "deprecated"


class ProjectStatus(Struct, frozen=True, omit_defaults=True):
    status: Status = Status.ACTIVE
    reason: str | None = None


class File(Struct, frozen=True, rename="kebab", omit_defaults=True, gc=False):
    """One file of a project.

    `url` is absolute for an upstream's file and unused for a local one. `hashes` maps algorithm to lower-case hex.
    `yanked` is False, True or the reason (PEP 592). `core_metadata` maps algorithm to hex, is True where the upstream
    gives no hash, and False where there is none (PEP 714). `provenance` is a URL (PEP 740).
    """

    filename: str
    url: str
    hashes: Mapping[str, str]
    size: int | None = None
    requires_python: str | None = None
    upload_time: datetime | None = None
    yanked: bool | str = False
    core_metadata: bool | Mapping[str, str] = False
    provenance: str | None = None

    @property
    def sha256(self) -> Sha256:
        """Parsers leave out files without one, so each file that is left has it."""
        return Sha256(self.hashes["sha256"])


class Skipped(Struct, frozen=True):
    """A file that an upstream lists and we cannot offer, with the reason in words."""

    filename: str
    reason: str


class ProjectDetail(Struct, frozen=True):
    """A project's page: what `/simple/{project}/` says, in no particular representation.

    `files` are a tuple or, where they are many, packed (core.packed).
    """

    name: ProjectName
    files: Sequence[File] = ()
    versions: tuple[str, ...] = ()
    status: ProjectStatus = ProjectStatus()
    skipped: tuple[Skipped, ...] = ()


class ProjectList(Struct, frozen=True):
    """The root index: normalized names, sorted, each once."""

    names: tuple[ProjectName, ...]


class Validators(Struct, frozen=True):
    """What a conditional request sends back (RFC 9110 section 13)."""

    etag: str | None = None
    last_modified: str | None = None


class PageEntry(Struct, frozen=True):
    """A cached page of an upstream and its freshness facts.

    `checked_at` is when the upstream last confirmed it. `links` names the hosts its links were checked against: when
    the config names others, the page must be fetched whole again. `serial` is the upstream's own count of changes
    (X-PyPI-Last-Serial), None where it tells none.
    """

    upstream: str
    detail: ProjectDetail
    validators: Validators
    checked_at: datetime
    links: str = ""
    serial: int | None = None
