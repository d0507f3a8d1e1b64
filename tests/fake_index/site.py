"""The honest index: an `Ask` in, an `Answer` out, no socket in sight.

Pages are rendered once for each (page, representation, encoding) and kept until the page or the dialect changes, so
that a page of thousands of files costs its rendering once.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tests.fake_index import pages
from tests.fake_index.catalogue import NoSuchProject
from tests.fake_index.exchange import Answer, Ask

if TYPE_CHECKING:
    from tests.fake_index.catalogue import Catalogue
    from tests.fake_index.dialect import Dialect

NOT_FOUND = Answer(404, {"Content-Type": "text/plain; charset=utf-8"}, b"404 Not Found")

_PROJECT = re.compile(r"/simple/(?P<name>[^/]+)(?P<slash>/?)")
_PROVENANCE = re.compile(r"/integrity/(?P<project>[^/]+)/[^/]+/(?P<filename>[^/]+)/provenance")
_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)")


@dataclass(frozen=True)
class _Page:
    """A rendered page and what it was rendered from."""

    serial: int
    dialect: Dialect
    etag: str
    body: bytes = field(repr=False)


class Site:
    def __init__(self, catalogue: Catalogue, hosts: pages.Hosts, dialect: Dialect) -> None:
        self.dialect = dialect
        self._catalogue = catalogue
        self._hosts = hosts
        self._pages: dict[tuple[str, str, bool], _Page] = {}

    def answer(self, ask: Ask) -> Answer:
        """What an index without faults says."""
        if ask.method not in {"GET", "HEAD"}:
            return Answer(405, {"Allow": "GET, HEAD"})
        if ask.path.startswith("/packages/"):
            return self._file(ask)
        return self._page(ask) if ask.host == "pages" else NOT_FOUND

    def _page(self, ask: Ask) -> Answer:
        if ask.path == "/simple":
            return _moved("/simple/", ask)
        if ask.path == "/simple/":
            return self._rendered(ask, "", self._catalogue.serial)
        if match := _PROJECT.fullmatch(ask.path):
            return self._project(ask, match["name"], slash=bool(match["slash"]))
        if match := _PROVENANCE.fullmatch(ask.path):
            return self._provenance(match["project"], match["filename"])
        return NOT_FOUND

    def _project(self, ask: Ask, name: str, *, slash: bool) -> Answer:
        normalized = canonicalize_name(name)
        if name != normalized or not slash:
            return _moved(f"/simple/{normalized}/", ask)
        try:
            return self._rendered(ask, name, self._catalogue.project_serial(name))
        except NoSuchProject:
            return NOT_FOUND

    def _rendered(self, ask: Ask, name: str, serial: int) -> Answer:
        dialect = self.dialect
        media = pages.negotiated(ask.headers.get("Accept", "*/*"), json_offered=dialect.json)
        zipped = dialect.gzip and "gzip" in ask.headers.get("Accept-Encoding", "")
        page = self._pages.get((name, media, zipped))
        if page is None or (page.serial, page.dialect) != (serial, dialect):
            page = self._pages[name, media, zipped] = self._render(name, dialect, media, zipped=zipped)
        headers = {"Content-Type": media, "Vary": "Accept, Accept-Encoding", "X-PyPI-Last-Serial": str(page.serial)}
        if dialect.max_age is not None:
            headers["Cache-Control"] = f"max-age={dialect.max_age}, public"
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return self._validated(ask, Answer(200, headers, page.body), page.etag)

    def _render(self, name: str, dialect: Dialect, media: str, *, zipped: bool) -> _Page:
        if name:
            listing = self._catalogue.listing(name)
            serial, body = listing.serial, pages.detail(listing, media, dialect, self._hosts)
        else:
            serial = self._catalogue.serial
            body = pages.project_list(self._catalogue.names(), serial, media)
        # As on PyPI, the validator is the plain body's, whatever the encoding.
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        return _Page(serial, dialect, etag, gzip.compress(body, 6, mtime=0) if zipped else body)

    def _file(self, ask: Ask) -> Answer:
        if ask.path.endswith(".metadata"):
            return self._metadata(ask)
        file = self._catalogue.find(ask.path)
        if file is None:
            return NOT_FOUND
        headers = {"Content-Type": "application/octet-stream", "Cache-Control": "max-age=365000000, immutable, public"}
        whole = self._validated(ask, Answer(200, headers, file.data), f'"{file.sha256}"')
        if not self.dialect.ranges or whole.status != 200:
            return whole
        return _ranged(ask, whole.with_headers(Accept_Ranges="bytes"))

    def _metadata(self, ask: Ask) -> Answer:
        file = self._catalogue.find(ask.path.removesuffix(".metadata"))
        if file is None or not self.dialect.rich or file.served_metadata is None:
            return NOT_FOUND
        answer = Answer(200, {"Content-Type": "application/octet-stream"}, file.served_metadata)
        return self._validated(ask, answer, f'"{hashlib.sha256(answer.body).hexdigest()}"')

    def _provenance(self, project: str, filename: str) -> Answer:
        document = self._catalogue.provenance(project, filename)
        if document is None:
            return NOT_FOUND
        return Answer(200, {"Content-Type": "application/vnd.pypi.integrity.v1+json"}, document)

    def _validated(self, ask: Ask, answer: Answer, etag: str) -> Answer:
        """The answer with its ETag, or 304 to who has it already (RFC 9110, 13.1.2)."""
        if not self.dialect.etags:
            return answer
        tagged = answer.with_headers(ETag=etag)
        known = {tag.strip().removeprefix("W/") for tag in ask.headers.get("If-None-Match", "").split(",")}
        return Answer(304, tagged.headers) if {etag, "*"} & known else tagged


def _moved(location: str, ask: Ask) -> Answer:
    return Answer(301, {"Location": f"{location}?{ask.query}" if ask.query else location})


def _ranged(ask: Ask, whole: Answer) -> Answer:
    """One byte range of the answer, where a good one was asked for (RFC 9110, 14.2); several are answered whole."""
    match = _RANGE.fullmatch(ask.headers.get("Range", ""))
    if match is None or match.group(0) == "bytes=-" or _outdated(ask, whole):
        return whole
    first, last = _positions(match["first"], match["last"], len(whole.body))
    if first > last:
        return Answer(416, {"Content-Range": f"bytes */{len(whole.body)}"})
    part = Answer(206, whole.headers, whole.body[first : last + 1])
    return part.with_headers(Content_Range=f"bytes {first}-{last}/{len(whole.body)}")


def _outdated(ask: Ask, whole: Answer) -> bool:
    condition = ask.headers.get("If-Range")
    return condition is not None and condition != whole.headers.get("ETag")


def _positions(first: str, last: str, length: int) -> tuple[int, int]:
    """First and last position of `first-last`; the first is behind the last where the range cannot be had."""
    if not first:
        return max(length - int(last), 0), length - 1
    return int(first), min(int(last), length - 1) if last else length - 1
