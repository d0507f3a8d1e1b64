"""Values that a MetadataStore keeps."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from proxy.core.digests import Digests, Sha256, sha256_of
from proxy.core.distributions import Kind
from proxy.core.local import NewFile, ReleaseMetadata
from proxy.core.model import File, PageEntry, ProjectDetail, Validators
from proxy.core.names import parse_filename, parse_project_name

NOW = datetime(2026, 3, 1, 12, 30, 15, 123457, tzinfo=UTC)
DEMO = parse_project_name("demo")


def digests_of(content: str) -> Digests:
    data = content.encode()
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return Digests(sha256_of(data), hashlib.blake2b(data, digest_size=32).hexdigest(), md5, len(data))


def new_file(
    name: str = "demo",
    version: str = "1.0",
    *,
    project_id: int = 1,
    kind: Kind = Kind.WHEEL,
    content: str = "bytes",
    requires_python: str = "",
    core_metadata: Sha256 | None = None,
    attestations: str | None = None,
    summary: str = "",
    published_by: str = "",
) -> NewFile:
    """A validated upload; its file name follows from name, version and kind."""
    ending = "-py3-none-any.whl" if kind is Kind.WHEEL else ".tar.gz"
    return NewFile(
        project_id=project_id,
        name=parse_project_name(name),
        raw_name=name,
        version=version,
        filename=parse_filename(f"{parse_project_name(name).replace('-', '_')}-{version}{ending}"),
        kind=kind,
        digests=digests_of(content),
        requires_python=requires_python,
        core_metadata=core_metadata,
        attestations=attestations,
        metadata=ReleaseMetadata(summary=summary),
        published_by=published_by,
    )


def page_entry(name: str = "demo", *, upstream: str = "pypi", files: int = 1, etag: str | None = '"1"') -> PageEntry:
    """A cached page with so many files, each of a version of its own."""
    project = parse_project_name(name)
    versions = tuple(f"1.{number}" for number in range(files))
    listed = tuple(listed_file(f"{project}-{version}.tar.gz") for version in versions)
    return PageEntry(upstream, ProjectDetail(project, listed, versions), Validators(etag), NOW, links="pypi.org")


def listed_file(filename: str) -> File:
    sha256 = digests_of(filename).sha256
    return File(
        filename=filename,
        url=f"https://files.example/{sha256}/{filename}",
        hashes={"sha256": sha256},
        size=12_345,
        requires_python=">=3.9",
        upload_time=NOW,
        core_metadata={"sha256": sha256},
    )
