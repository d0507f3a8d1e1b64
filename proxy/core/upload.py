"""The legacy upload form: what a client claims of a file, and whether the file bears it out.

`check_form` needs the form only, so a bad one is refused before the file is looked at. `validate` compares the claims
with what the file itself says and makes the value to publish. Field names are the upload API's; lengths and wording
are GitLab's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from packaging.version import InvalidVersion, Version

from proxy.core.archive_members import shown
from proxy.core.digests import Digests, sha256_of
from proxy.core.distributions import Kind, parse_distribution, version_of
from proxy.core.errors import Gone, InvalidFields, InvalidName, InvalidUpload, MissingFields
from proxy.core.local import NewFile, ReleaseMetadata
from proxy.core.names import Filename, ProjectName, parse_filename, parse_project_name

if TYPE_CHECKING:
    from proxy.core.archive import ArchiveMetadata

MAX_VERSION = 255
MAX_REQUIRES_PYTHON = 255
_MAX_TEXT = {
    "metadata_version": 16,
    "author_email": 2048,
    "summary": 255,
    "description": 4000,
    "description_content_type": 128,
    "keywords": 1024,
}
_DIGEST_DIGITS = {"sha256_digest": 64, "md5_digest": 32, "blake2_256_digest": 64}
_ELLIPSIS = "..."


class UploadForm(Struct, frozen=True):
    """A form as it was read: each field's values in order, and what the client called the file in `content`."""

    fields: Mapping[str, tuple[str, ...]]
    filename: str | None = None

    def values(self, field: str) -> list[str]:
        """The values given, without blank ones and the UNKNOWN that old build tools write for what they lack."""
        return [value for value in self.fields.get(field, ()) if value.strip() not in {"", "UNKNOWN"}]

    def one(self, field: str) -> str:
        """The value of a field that decides something, empty when absent; raises InvalidFields for different ones."""
        values = self.values(field)
        if len(set(values)) > 1:
            raise InvalidFields(f"{field} is invalid")
        return values[0] if values else ""


class Claimed(Struct, frozen=True):
    """What a well-formed form says of its file. `digests` maps the form's field to lower-case hex."""

    name: ProjectName
    raw_name: str
    version: str
    filename: Filename
    kind: Kind
    digests: Mapping[str, str]
    requires_python: str = ""
    attestations: str | None = None
    metadata: ReleaseMetadata = ReleaseMetadata()


def check_form(form: UploadForm) -> Claimed:
    """What the form claims; raises Gone, InvalidFields, or InvalidUpload where it contradicts itself."""
    _check_protocol(form)
    _check_presence(form)
    raw_name, version = form.one("name"), form.one("version")
    digests = _parse_digests(form)
    name, parsed_version = _parse_name(raw_name), _parse_version(version)
    filename = _parse_filename(form)
    return Claimed(
        name=name,
        raw_name=raw_name,
        version=version,
        filename=filename,
        kind=_check_filename(filename, name, parsed_version, form.one("filetype")),
        digests=digests,
        requires_python=_parse_requires_python(form.one("requires_python")),
        attestations=_parse_attestations(form.values("attestations")),
        metadata=ReleaseMetadata(**{field: _cut(form, field) for field in _MAX_TEXT}),
    )


def validate(
    claimed: Claimed, *, project_id: int, digests: Digests, metadata: ArchiveMetadata, published_by: str = ""
) -> NewFile:
    """The file to publish; raises InvalidUpload where the claims do not agree with it.

    `digests` are all computed over the file, `metadata` was read from it.
    """
    _check_digests(claimed, digests)
    _check_metadata(claimed, metadata)
    return NewFile(
        project_id=project_id,
        name=claimed.name,
        raw_name=claimed.raw_name,
        version=claimed.version,
        filename=claimed.filename,
        kind=claimed.kind,
        digests=digests,
        requires_python=claimed.requires_python or _parse_requires_python(metadata.requires_python),
        core_metadata=sha256_of(metadata.metadata) if claimed.kind is Kind.WHEEL else None,
        attestations=claimed.attestations,
        metadata=claimed.metadata,
        published_by=published_by,
    )


def _check_protocol(form: UploadForm) -> None:
    if form.one(":action") not in {"", "file_upload"}:
        raise Gone("The only action is file_upload")
    if form.one("protocol_version") not in {"", "1"}:
        raise InvalidUpload("The only protocol_version is 1")


def _check_presence(form: UploadForm) -> None:
    missing = [field for field in ("name", "version") if not form.values(field)]
    if form.filename is None and "content" not in form.fields:
        missing.insert(0, "content")
    if missing:
        raise MissingFields(", ".join(f"{field} is missing" for field in missing))
    if not form.filename:
        raise InvalidFields("content is invalid")  # text, not a file


def _parse_digests(form: UploadForm) -> dict[str, str]:
    digests = {field: form.one(field).lower() for field in _DIGEST_DIGITS if form.values(field)}
    for field, digest in digests.items():
        if not re.fullmatch(rf"[0-9a-f]{{{_DIGEST_DIGITS[field]}}}", digest):
            raise InvalidFields(f"{field} is invalid")
    return digests


def _parse_name(text: str) -> ProjectName:
    try:
        return parse_project_name(text)
    except InvalidName as error:
        raise InvalidUpload("Validation failed: Name is invalid") from error


def _parse_version(text: str) -> Version:
    """PEP 440, with its optional leading v; no space around it, no letter beyond ASCII."""
    try:
        if len(text) <= MAX_VERSION and text.isascii() and text == text.strip():
            return Version(text)
    except InvalidVersion:
        pass
    raise InvalidUpload("Validation failed: Version is invalid")


def _parse_filename(form: UploadForm) -> Filename:
    try:
        return parse_filename(form.filename or "")
    except InvalidName as error:
        raise InvalidUpload("Validation failed: File name is invalid") from error


def _check_filename(filename: Filename, name: ProjectName, version: Version, filetype: str) -> Kind:
    """The kind that the file name tells; raises InvalidUpload unless name, version and filetype agree with it."""
    try:
        kind = parse_distribution(filename).kind
    except InvalidName as error:
        raise InvalidUpload("Validation failed: File name is not that of a wheel or sdist") from error
    if version_of(filename, name) != version:
        raise InvalidUpload("Validation failed: File name does not match the name and version")
    if filetype not in {"", kind}:
        raise InvalidUpload("Validation failed: File name does not match the filetype")
    return kind


def _parse_requires_python(text: str) -> str:
    value = _clean(" ".join(text.split()))
    if len(value) > MAX_REQUIRES_PYTHON:  # cut, it would say something else
        raise InvalidUpload(
            f"Validation failed: Required python is too long (maximum is {MAX_REQUIRES_PYTHON} characters)"
        )
    return value


class _Attestation(Struct):
    """The members that PEP 740 gives an attestation object."""

    version: int
    verification_material: dict[str, object]
    envelope: dict[str, object]


def _parse_attestations(values: list[str]) -> str | None:
    """The JSON array as it was sent, None unless it is one of attestation objects: they never fail an upload."""
    if len(values) != 1:
        return None
    try:
        attestations = msgspec.json.decode(values[0], type=list[_Attestation])
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    well_formed = bool(attestations) and all(attestation.version == 1 for attestation in attestations)
    return values[0] if well_formed else None


def _cut(form: UploadForm, field: str) -> str:
    """A describing field's text, no longer than GitLab keeps it, the ellipsis counted in.

    Old tools send each keyword as a field of its own; of other repeated fields the last counts, as in GitLab.
    """
    values = form.values(field)
    text = _clean(",".join(values if field == "keywords" else values[-1:]))
    limit = _MAX_TEXT[field]
    return text if len(text) <= limit else text[: limit - len(_ELLIPSIS)] + _ELLIPSIS


def _clean(text: str) -> str:
    """`text` without what a database or a page could not hold: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "\\x00").encode("utf-8", "replace").decode()


def _check_digests(claimed: Claimed, digests: Digests) -> None:
    computed = {
        "sha256_digest": digests.sha256,
        "md5_digest": digests.md5,
        "blake2_256_digest": digests.blake2b,
    }
    for field, digest in claimed.digests.items():
        if digest != computed[field]:
            raise InvalidUpload(f"Validation failed: {field} does not match the file")


def _check_metadata(claimed: Claimed, metadata: ArchiveMetadata) -> None:
    try:
        name, version = _parse_name(metadata.name), _parse_version(metadata.version)
    except InvalidUpload as error:
        raise InvalidUpload("Validation failed: the file's own metadata has an invalid Name or Version") from error
    if (name, version) != (claimed.name, _parse_version(claimed.version)):
        raise InvalidUpload(f"Validation failed: the file says it is {shown(f'{metadata.name} {metadata.version}')}")
