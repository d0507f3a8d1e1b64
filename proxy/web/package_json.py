"""Packages and their files as GitLab's packages API writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import UNSET, Struct, UnsetType

from proxy.core.releases import PackageType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.core.local import LocalFile, ReleaseVersion
    from proxy.services.packages import Package


class Links(Struct, frozen=True):
    """`delete_api_path` is there for who may delete the package."""

    web_path: str
    delete_api_path: str | UnsetType = UNSET


class VersionJson(Struct, frozen=True):
    id: int
    version: str
    created_at: str
    tags: tuple[str, ...] = ()
    pipelines: tuple[str, ...] = ()


class PackageJson(Struct, frozen=True, rename={"links": "_links"}):
    """Nothing here has tags or pipelines. The project is named in a group's list, the versions outside of lists."""

    id: int
    name: str
    version: str
    package_type: str
    status: str
    links: Links
    created_at: str
    last_downloaded_at: str | None
    project_id: int | UnsetType = UNSET
    project_path: str | UnsetType = UNSET
    tags: tuple[str, ...] = ()
    pipelines: tuple[str, ...] = ()
    versions: tuple[VersionJson, ...] | UnsetType = UNSET


class FileJson(Struct, frozen=True):
    """There is no sha1: nobody computes one here."""

    id: int
    package_id: int
    created_at: str
    file_name: str
    size: int
    file_md5: str
    file_sha1: str | None
    file_sha256: str
    pipelines: tuple[str, ...] = ()


def package_json(
    package: Package, base_url: str, *, in_group: bool = False, versions: Iterable[ReleaseVersion] | None = None
) -> PackageJson:
    release, project = package.release, package.project
    deletion = f"{base_url}/api/v4/projects/{project.id}/packages/{release.id}"
    downloaded = release.last_downloaded_at
    return PackageJson(
        id=release.id,
        name=release.raw_name,
        version=release.version,
        package_type=PackageType.PYPI,
        status=release.status,
        links=Links(f"/{project.path}/-/packages/{release.id}", deletion if package.deletable else UNSET),
        created_at=_instant(release.created_at),
        last_downloaded_at=_instant(downloaded) if downloaded else None,
        project_id=project.id if in_group else UNSET,
        project_path=project.path if in_group else UNSET,
        versions=UNSET if versions is None else tuple(_version_json(version) for version in versions),
    )


def file_json(file: LocalFile) -> FileJson:
    return FileJson(
        id=file.id,
        package_id=file.release_id,
        created_at=_instant(file.uploaded_at),
        file_name=file.filename,
        size=file.digests.size,
        file_md5=file.digests.md5,
        file_sha1=None,
        file_sha256=file.digests.sha256,
    )


def _version_json(version: ReleaseVersion) -> VersionJson:
    return VersionJson(version.id, version.version, _instant(version.created_at))


def _instant(instant: datetime) -> str:
    """`2026-03-01T12:30:15.123Z`."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
