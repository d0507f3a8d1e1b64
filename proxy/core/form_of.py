"""The upload form of a distribution that comes without one: what its own core metadata says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.metadata import parse_email

from proxy.core.upload import UploadForm

if TYPE_CHECKING:
    from proxy.core.names import Filename

_SINGLE = (
    "metadata_version",
    "name",
    "version",
    "summary",
    "description",
    "description_content_type",
    "author_email",
    "requires_python",
)


def form_of(metadata: bytes, filename: Filename) -> UploadForm:
    """The form that a client would have sent with the file; fields that the metadata lacks are left out."""
    raw, _ = parse_email(metadata)
    said: dict[str, object] = dict(raw)
    fields = {field: (value,) for field in _SINGLE if isinstance(value := said.get(field), str)}
    if keywords := raw.get("keywords"):
        fields["keywords"] = (",".join(keywords),)
    return UploadForm(fields, filename)
