"""What the index holds. Changes may come from any thread; a page is rendered from one frozen `Listing`."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypedDict

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

CoreMetadata = bool | Literal["unhashed", "wrong", "missing"]
ProjectStatus = Literal["active", "archived", "quarantined", "deprecated"]

DEFAULT_UPLOAD_TIME = datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


class NoSuchProject(LookupError):
    pass


class FileFields(TypedDict, total=False):
    """What a page says of a file, where it differs from the plain truth.

    `upload_time`: a date-time, text that is written as it is, or None to leave it out. `yanked`: True, or the reason.
    `core_metadata`: True for its hash, False for none, "unhashed" for a bare `true`, "wrong" for a hash that its bytes
    do not have, "missing" for a right hash and a 404. `provenance`: the document that the provenance link answers.
    `hashes` and `link` replace what the page says; `extra` adds keys to the file's JSON object.
    """

    requires_python: str | None
    upload_time: datetime | str | None
    yanked: bool | str
    core_metadata: CoreMetadata
    provenance: bytes | None
    hashes: Mapping[str, str]
    link: str
    extra: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class File:
    """One file: `path` on the file host, `url` where that is, `sha256` of `data` whatever the page may say."""

    project: str
    filename: str
    version: str | None
    data: bytes = field(repr=False)
    sha256: str
    path: str
    url: str
    metadata: bytes | None = field(repr=False)
    fields: FileFields

    @property
    def hashes(self) -> Mapping[str, str]:
        return self.fields.get("hashes", {"sha256": self.sha256})

    @property
    def upload_time(self) -> str | None:
        """As PEP 700 spells it: UTC, microseconds, a final Z."""
        moment = self.fields.get("upload_time", DEFAULT_UPLOAD_TIME)
        if isinstance(moment, datetime):
            return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return moment

    @property
    def core_metadata(self) -> bool | dict[str, str]:
        """What the page advertises (PEP 714)."""
        promise = self.fields.get("core_metadata", True)
        if self.metadata is None or promise is False:
            return False
        if promise == "unhashed":
            return True
        told = b"another file's" if promise == "wrong" else self.metadata
        return {"sha256": hashlib.sha256(told).hexdigest()}

    @property
    def served_metadata(self) -> bytes | None:
        """What `{url}.metadata` answers; None is a 404."""
        return None if self.fields.get("core_metadata", True) in (False, "missing") else self.metadata

    @property
    def provenance_path(self) -> str | None:
        """Where the index's own host answers the provenance, if there is any."""
        if self.fields.get("provenance") is None:
            return None
        return f"/integrity/{self.project}/{self.version}/{self.filename}/provenance"


@dataclass(frozen=True)
class Listing:
    """A project as it was at one moment; `serial` grows with each change."""

    name: str
    serial: int
    status: ProjectStatus
    reason: str | None
    files: tuple[File, ...]


@dataclass
class _Project:
    serial: int
    status: ProjectStatus = "active"
    reason: str | None = None
    files: dict[str, File] = field(default_factory=dict)


class Catalogue:
    """Projects by normalized name, files by path."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._projects: dict[str, _Project] = {}
        self._by_path: dict[str, File] = {}
        self._serial = 0

    @property
    def serial(self) -> int:
        return self._serial

    def add(self, file: File) -> None:
        """Put the file on its project's page, in place of the one that had its filename."""
        with self._lock:
            project = self._touched(file.project)
            self._forget(project.files.get(file.filename))
            project.files[file.filename] = file
            self._by_path[file.path] = file

    def add_project(self, name: str) -> None:
        with self._lock:
            self._touched(canonicalize_name(name))

    def set_status(self, name: str, status: ProjectStatus, reason: str | None) -> None:
        with self._lock:
            project = self._touched(canonicalize_name(name))
            project.status, project.reason = status, reason

    def remove(self, name: str) -> None:
        """Forget the project and its files; raises NoSuchProject."""
        normalized = canonicalize_name(name)
        with self._lock:
            for file in self._project(normalized).files.values():
                self._forget(file)
            del self._projects[normalized]
            self._serial += 1

    def remove_file(self, file: File) -> None:
        """Forget one file; its project stays. Raises KeyError where the file is not listed."""
        with self._lock:
            self._forget(self._touched(file.project).files.pop(file.filename))

    def project_serial(self, name: str) -> int:
        """Raises NoSuchProject."""
        return self._project(name).serial

    def listing(self, name: str) -> Listing:
        """Raises NoSuchProject."""
        with self._lock:
            project = self._project(name)
            shown = () if project.status == "quarantined" else tuple(project.files.values())
            return Listing(name, project.serial, project.status, project.reason, shown)

    def names(self) -> list[str]:
        """What the project list shows, sorted."""
        with self._lock:
            return sorted(name for name, project in self._projects.items() if project.status != "quarantined")

    def find(self, path: str) -> File | None:
        """The file at this path of the file host."""
        return self._by_path.get(path)

    def provenance(self, project: str, filename: str) -> bytes | None:
        with self._lock:
            held = self._projects.get(project)
            file = held.files.get(filename) if held else None
            return file.fields.get("provenance") if file else None

    def _project(self, name: str) -> _Project:
        try:
            return self._projects[name]
        except KeyError:
            raise NoSuchProject(name) from None

    def _touched(self, name: str) -> _Project:
        self._serial += 1
        project = self._projects.setdefault(name, _Project(self._serial))
        project.serial = self._serial
        return project

    def _forget(self, file: File | None) -> None:
        if file is not None:
            self._by_path.pop(file.path, None)


def make_file(
    origin: str, project: str, filename: str, data: bytes, metadata: bytes | None, fields: FileFields
) -> File:
    """A file record; its path is the content's, as on files.pythonhosted.org."""
    digest = hashlib.blake2b(data, digest_size=32).hexdigest()
    path = f"/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{filename}"
    return File(
        project=canonicalize_name(project),
        filename=filename,
        version=_version(filename),
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
        path=path,
        url=f"{origin}{path}",
        metadata=metadata,
        fields=fields,
    )


def _version(filename: str) -> str | None:
    """The filename's version; None for a name that no standard knows."""
    try:
        if filename.endswith(".whl"):
            return str(parse_wheel_filename(filename)[1])
        return str(parse_sdist_filename(filename)[1])
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None
