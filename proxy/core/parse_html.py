"""Reading a project's page in HTML (PEP 503, 592, 629, 658, 714, 740, 792), and telling it from any other HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote

from proxy.core.distributions import version_of
from proxy.core.errors import UpstreamBroken
from proxy.core.listing import Entry, Listing, Promise
from proxy.core.names import MAX_FILENAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.core.names import ProjectName

_ARCHIVES = (
    ".whl",
    ".tar.gz",
    ".zip",
    ".egg",
    ".tar.bz2",
    ".tgz",
    ".tar.xz",
    ".tar.z",
    ".tar",
    ".exe",
    ".msi",
    ".rpm",
    ".deb",
    ".dmg",
)
_HASH = re.compile(r"(md5|sha\d[\w-]{0,9}|blake2\w{1,9})=([0-9a-f]{32,128})", re.IGNORECASE | re.ASCII)
_INDEX_HEADING = re.compile(r"\b(?:links for|index of)\b", re.IGNORECASE)


def read_html(body: bytes | bytearray, name: ProjectName, *, declared: bool) -> Listing:
    """The page of `name` in `body`; raises UpstreamBroken where it does not look like an index's page.

    A page sent as `application/vnd.pypi.simple.v1+html` (`declared`) is taken at its word. One sent as text/html may
    as well be the error page of a proxy or the login of a network, and must bear a mark that those do not have:

    - the meta tag `pypi:repository-version`;
    - a title or heading with "Links for" or "Index of", as indexes and web servers write;
    - a link to a file, which carries a hash, or the project's name and a version.

    The page of a project without files passes by the first two. A page without any mark is refused, though PEP 503
    allows it where it is empty: to believe it gains nothing to install, while to believe an error page would empty a
    project that has files.
    """
    reader = _Reader()
    try:
        # Without close(): it looks at the rest after broken markup again and again. An unfinished tag is no link.
        reader.feed(body.decode(errors="replace"))
    except AssertionError as error:  # html.parser's word for a marked section that it does not know
        raise UpstreamBroken(f"the HTML cannot be parsed: {error}") from error
    if not (declared or reader.has_index_mark or any(_is_file_of(name, entry) for entry in reader.entries)):
        raise UpstreamBroken("the HTML is not the page of a project: no link to a file and no mark of an index")
    return reader.listing()


class _Reader(HTMLParser):
    """Gathers the links to files, the meta tags and the base of one document."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []
        self._meta: dict[str, str] = {}
        self._base: str | None = None
        self._headings: list[str] = []
        self._in_heading = False

    @property
    def has_index_mark(self) -> bool:
        return "pypi:repository-version" in self._meta or bool(_INDEX_HEADING.search("".join(self._headings)))

    def listing(self) -> Listing:
        return Listing(
            self.entries,
            self._meta.get("pypi:repository-version", "1.0"),
            status=self._meta.get("pypi:project-status"),
            status_reason=self._meta.get("pypi:project-status-reason"),
            base=self._base or "",
        )

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {key: value or "" for key, value in reversed(attrs)}  # of a repeated attribute the first counts
        if tag == "a":
            self._read_link(attributes)
        elif tag == "meta" and "name" in attributes:
            self._meta.setdefault(attributes["name"].lower(), attributes.get("content", ""))
        elif tag == "base" and self._base is None:
            self._base = attributes.get("href")
        elif tag in {"title", "h1"}:
            self._in_heading = True

    def handle_endtag(self, tag: str) -> None:
        if tag in {"title", "h1"}:
            self._in_heading = False

    def handle_data(self, data: str) -> None:
        if self._in_heading:
            self._headings.append(data)

    def _read_link(self, attributes: Mapping[str, str]) -> None:
        link, _, fragment = attributes.get("href", "").strip().partition("#")
        filename = unquote(link.partition("?")[0].rpartition("/")[2])
        hashes = {algorithm.lower(): digest for algorithm, digest in _HASH.findall(fragment)}
        if hashes or filename.lower().endswith(_ARCHIVES):
            self.entries.append(_entry(filename, link, hashes, attributes))


def _entry(filename: str, link: str, hashes: dict[str, str], attributes: Mapping[str, str]) -> Entry:
    return Entry(
        filename,
        link,
        hashes,
        requires_python=attributes.get("data-requires-python"),
        yanked=attributes.get("data-yanked"),
        core_metadata=_promise(attributes.get("data-core-metadata")),
        dist_info_metadata=_promise(attributes.get("data-dist-info-metadata")),
        provenance=attributes.get("data-provenance"),
    )


def _promise(attribute: str | None) -> Promise:
    """What a metadata attribute says: `true`, or `sha256=` and hex; anything else counts as absent."""
    if attribute is None:
        return None
    if hashed := _HASH.fullmatch(attribute):
        return {hashed[1].lower(): hashed[2]}
    return {"true": True, "false": False}.get(attribute.lower())


def _is_file_of(name: ProjectName, entry: Entry) -> bool:
    if entry.hashes:
        return True
    return len(entry.filename) <= MAX_FILENAME and version_of(entry.filename, name) is not None
