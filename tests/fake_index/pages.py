"""Simple API pages, written straight from the specification and on purpose without the product's own renderer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from operator import itemgetter
from typing import TYPE_CHECKING

from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.fake_index.catalogue import File, Listing
    from tests.fake_index.dialect import Dialect, Links

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
TEXT = "text/html"

_CONCRETE = {
    JSON: JSON,
    HTML: HTML,
    TEXT: TEXT,
    "application/vnd.pypi.simple.latest+json": JSON,
    "application/vnd.pypi.simple.latest+html": HTML,
    "*/*": TEXT,
    "text/*": TEXT,
    "application/*": JSON,
}
_TIES = [TEXT, HTML, JSON]  # PyPI's order among equals


def negotiated(accept: str, *, json_offered: bool) -> str:
    """The content type for an Accept header. Nothing acceptable: text/html, as PyPI does."""
    weighed = sorted(map(_weighed, accept.split(",")), key=itemgetter(1))
    wanted = {_CONCRETE[media]: q for media, q in weighed if media in _CONCRETE}
    offered = _TIES if json_offered else [TEXT]
    return max(offered, key=lambda media: wanted.get(media, 0.0))


def _weighed(media_range: str) -> tuple[str, float]:
    media, *parameters = (part.strip() for part in media_range.split(";"))
    weight = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
    return media, float(weight)


@dataclass(frozen=True)
class Hosts:
    """Where pages and files live: `http://127.0.0.1:PORT`."""

    pages: str
    files: str


def detail(listing: Listing, media: str, dialect: Dialect, hosts: Hosts) -> bytes:
    """A project detail page."""
    if media == JSON:
        return _detail_json(listing, dialect, hosts)
    return _detail_html(listing, dialect, hosts)


def project_list(names: Iterable[str], serial: int, media: str) -> bytes:
    """The root page."""
    if media == JSON:
        return _dumped({"meta": _meta(serial), "projects": [{"name": name} for name in names]})
    links = [f'<a href="/simple/{name}/">{name}</a>' for name in names]
    return _document("Simple index", "", links, serial)


def _detail_json(listing: Listing, dialect: Dialect, hosts: Hosts) -> bytes:
    page: dict[str, object] = {
        "meta": _meta(listing.serial),
        "name": listing.name,
        "files": [_file_json(file, dialect, hosts) for file in listing.files],
    }
    if dialect.rich:
        page["versions"] = _versions(listing.files)
        page["project-status"] = {"status": listing.status}
        if listing.reason is not None:
            page["project-status"] = {"status": listing.status, "reason": listing.reason}
    return _dumped(page)


def _file_json(file: File, dialect: Dialect, hosts: Hosts) -> dict[str, object]:
    entry: dict[str, object] = {
        "filename": file.filename,
        "url": _link(file, "absolute" if dialect.links == "base" else dialect.links),
        "hashes": dict(file.hashes),
        "requires-python": file.fields.get("requires_python"),
        "yanked": file.fields.get("yanked", False),
    }
    if dialect.rich:
        entry |= {"size": len(file.data), "provenance": _provenance(file, hosts)}
        entry |= {"core-metadata": file.core_metadata, "data-dist-info-metadata": file.core_metadata}
        if file.upload_time is not None:
            entry["upload-time"] = file.upload_time
    return entry | dict(file.fields.get("extra", {}))


def _detail_html(listing: Listing, dialect: Dialect, hosts: Hosts) -> bytes:
    head = ""
    if dialect.rich:
        head += f'<meta name="pypi:project-status" content="{listing.status}">\n'
        if listing.reason is not None:
            head += f'<meta name="pypi:project-status-reason" content="{escape(listing.reason)}">\n'
    if dialect.links == "base":
        head += f'<base href="{hosts.files}/">\n'
    links = [_anchor(file, dialect, hosts) for file in listing.files]
    return _document(f"Links for {listing.name}", head, links, listing.serial)


def _anchor(file: File, dialect: Dialect, hosts: Hosts) -> str:
    fragment = next((f"#{algorithm}={digest}" for algorithm, digest in file.hashes.items()), "")
    attributes = {"href": _link(file, dialect.links) + fragment} | _attributes(file, dialect, hosts)
    written = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    return f"<a {written}>{escape(file.filename)}</a>"


def _attributes(file: File, dialect: Dialect, hosts: Hosts) -> dict[str, str]:
    attributes = {}
    if requires_python := file.fields.get("requires_python"):
        attributes["data-requires-python"] = requires_python
    if yanked := file.fields.get("yanked", False):
        attributes["data-yanked"] = yanked if isinstance(yanked, str) else ""
    if dialect.rich and (promise := file.core_metadata):
        value = "true" if promise is True else f"sha256={promise['sha256']}"
        attributes |= {"data-core-metadata": value, "data-dist-info-metadata": value}
    if dialect.rich and (provenance := _provenance(file, hosts)):
        attributes["data-provenance"] = provenance
    return attributes


def _link(file: File, links: Links) -> str:
    if "link" in file.fields:
        return file.fields["link"]
    forms = {"absolute": file.url, "relative": f"../..{file.path}", "base": file.path.removeprefix("/")}
    return forms[links]


def _provenance(file: File, hosts: Hosts) -> str | None:
    return f"{hosts.pages}{file.provenance_path}" if file.provenance_path else None


def _versions(files: Iterable[File]) -> list[str]:
    return sorted({file.version for file in files if file.version is not None}, key=Version)


def _meta(serial: int) -> dict[str, object]:
    return {"api-version": "1.4", "_last-serial": serial}


def _dumped(page: dict[str, object]) -> bytes:
    return json.dumps(page, separators=(",", ":")).encode()


def _document(title: str, head: str, links: Iterable[str], serial: int) -> bytes:
    body = "".join(f"{link}<br>\n" for link in links)
    return (
        "<!DOCTYPE html>\n<html><head>\n"
        '<meta name="pypi:repository-version" content="1.4">\n'
        f"{head}<title>{title}</title>\n</head><body>\n<h1>{title}</h1>\n{body}</body></html>\n<!--SERIAL {serial}-->"
    ).encode()
