"""From the model to the bytes of a page: JSON and HTML of the simple API, version 1.4. The only place that escapes.

Links are relative to the page (`../../files/...`), so one rendering serves every host name and reverse proxy. Equal
values give equal bytes, so that an ETag made of them is stable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from io import BytesIO
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

import msgspec
from msgspec import Struct

from proxy.core.negotiate import Representation
from proxy.core.packed import groups

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.core.model import File, ProjectDetail, ProjectList, ProjectStatus

API_VERSION = "1.4"  # of both: PEP 833 froze HTML at it, PEP 792 brought JSON to it

_TOP = "../../"  # from a page, /simple/{project}/, to what holds simple/ and files/
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")
_SPECIAL = re.compile("[&<>\"'\n\r\0]")
_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#x27;",
    "\n": "&#10;",
    "\r": "&#13;",
    "\0": "\N{REPLACEMENT CHARACTER}",  # HTML has no way to write it
}


def render_detail(
    detail: ProjectDetail, representation: Representation, *, upstream_urls: bool = False, base_url: str = ""
) -> bytes:
    """A project's page. What the model does not hold is left out.

    `upstream_urls` links files to where the upstream keeps them instead of here; local files have no other place.
    `base_url` is the page's own absolute URL: where it is https, provenance is linked absolutely. HTML has provenance
    only then, as PEP 740 wants a secure origin there; JSON links it relative to the page otherwise.
    """
    addresses = _Addresses(upstream_urls=upstream_urls, base_url=base_url)
    if representation is Representation.JSON:
        return _json_page(detail, addresses)
    lines = ("".join([_file_line(file, addresses) for file in group]) for group in groups(detail.files))
    return _document(f"Links for {detail.name}", _status_tags(detail.status), lines)


def render_list(listed: ProjectList, representation: Representation) -> bytes:
    """The root index; its links are relative to it."""
    if representation is Representation.JSON:
        return _encoder.encode(_JsonList(_Meta(), [_JsonProject(name) for name in listed.names]))
    return _document("Simple index", (), (_link_line(name, _attribute("href", f"{name}/")) for name in listed.names))


def escape(text: str) -> str:
    """`text` for HTML: as content or as the value of a quoted attribute, where a parser gives line breaks back too."""
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], text)


class _Addresses:
    """Where a page's files and their provenance are."""

    def __init__(self, *, upstream_urls: bool, base_url: str) -> None:
        self._upstream_urls = upstream_urls
        self._secure_top = urljoin(base_url, _TOP) if base_url.startswith("https://") else ""

    def of_file(self, file: File) -> str:
        return file.url if self._is_elsewhere(file) else _TOP + _path(file)

    def of_provenance(self, file: File) -> str | None:
        if file.provenance is None or self._is_elsewhere(file):
            return file.provenance
        return f"{self._secure_top or _TOP}{_path(file)}.provenance"

    def _is_elsewhere(self, file: File) -> bool:
        return self._upstream_urls and file.url != ""


def _path(file: File) -> str:
    name = file.filename if _UNRESERVED.fullmatch(file.filename) else quote(file.filename, safe="")
    return f"files/{file.sha256}/{name}"


class _Meta(Struct, frozen=True, rename="kebab"):
    api_version: str = API_VERSION


class _JsonFile(Struct, rename="kebab", omit_defaults=True, gc=False):
    filename: str
    url: str
    hashes: Mapping[str, str]
    yanked: bool | str
    size: int | None = None
    requires_python: str | None = None
    upload_time: datetime | None = None
    core_metadata: bool | Mapping[str, str] = False
    data_dist_info_metadata: bool | Mapping[str, str] = False  # the key of old that PyPI writes too and PDM reads
    provenance: str | None = None


class _JsonStatus(Struct, omit_defaults=True):
    status: str
    reason: str | None = None


class _JsonPage(Struct, rename="kebab"):
    meta: _Meta
    name: str
    project_status: _JsonStatus
    versions: tuple[str, ...]
    files: tuple[()] = ()


class _JsonProject(Struct, gc=False):
    name: str


class _JsonList(Struct):
    meta: _Meta
    projects: list[_JsonProject]


_encoder = msgspec.json.Encoder(order="deterministic")


def _json_page(detail: ProjectDetail, addresses: _Addresses) -> bytes:
    status = _JsonStatus(detail.status.status, detail.status.reason)
    frame = _encoder.encode(_JsonPage(_Meta(), detail.name, status, detail.versions))
    arrays = (_encoder.encode([_json_file(file, addresses) for file in group]) for group in groups(detail.files))
    files = (array[1:-1] if number == 0 else b"," + array[1:-1] for number, array in enumerate(arrays))
    return _joined(chain((frame.removesuffix(b"]}"),), files, (b"]}",)))


def _json_file(file: File, addresses: _Addresses) -> _JsonFile:
    return _JsonFile(
        file.filename,
        addresses.of_file(file),
        file.hashes,
        file.yanked,
        file.size,
        file.requires_python,
        file.upload_time,
        file.core_metadata,
        file.core_metadata,
        addresses.of_provenance(file),
    )


def _document(title: str, tags: Iterable[str], lines: Iterable[str]) -> bytes:
    head = "".join(f"{tag}\n" for tag in (_meta_tag("pypi:repository-version", API_VERSION), *tags))
    top = (
        f'<!DOCTYPE html>\n<html><head>\n<meta charset="utf-8">\n{head}<title>{escape(title)}</title>\n</head><body>\n'
        f"<h1>{escape(title)}</h1>\n"
    )
    return _joined(part.encode(errors="replace") for part in chain((top,), lines, ("</body></html>\n",)))


def _joined(parts: Iterable[bytes]) -> bytes:
    """The parts of a page as one; they are never in memory all beside it."""
    page = BytesIO()
    for part in parts:
        page.write(part)
    return page.getvalue()


def _status_tags(status: ProjectStatus) -> Iterable[str]:
    yield _meta_tag("pypi:project-status", status.status)
    if status.reason is not None:
        yield _meta_tag("pypi:project-status-reason", status.reason)


def _meta_tag(name: str, content: str) -> str:
    return f"<meta{_attribute('name', name)}{_attribute('content', content)}>"


def _file_line(file: File, addresses: _Addresses) -> str:
    attributes = _attribute("href", f"{addresses.of_file(file)}#sha256={file.sha256}")
    if file.requires_python is not None:
        attributes += _attribute("data-requires-python", file.requires_python)
    if file.core_metadata:
        promise = _html_promise(file.core_metadata)
        attributes += _attribute("data-dist-info-metadata", promise) + _attribute("data-core-metadata", promise)
    if file.yanked is not False:
        attributes += _attribute("data-yanked", "" if file.yanked is True else file.yanked)
    if (provenance := addresses.of_provenance(file)) and provenance.startswith("https://"):
        attributes += _attribute("data-provenance", provenance)
    return _link_line(file.filename, attributes)


def _html_promise(core_metadata: bool | Mapping[str, str]) -> str:  # noqa: FBT001 - PEP 714's own type
    if isinstance(core_metadata, bool):
        return "true"
    algorithm = "sha256" if "sha256" in core_metadata else min(core_metadata)
    return f"{algorithm}={core_metadata[algorithm]}"


def _link_line(text: str, attributes: str) -> str:
    """One link a line: tools that scrape expect it so."""
    return f"<a{attributes}>{escape(text)}</a><br>\n"


def _attribute(name: str, value: str) -> str:
    return f' {name}="{escape(value)}"'
