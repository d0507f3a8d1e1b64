"""From an upstream's page to the model. Nothing of a page is believed before it went through here.

A page is read in its representation (parse_json, parse_html); then each file is judged (parse_file). What cannot be
offered is recorded in `skipped`, for `explain`. A long page of JSON is read piece by piece where it can be.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from packaging.version import Version

from proxy.core.distributions import version_of
from proxy.core.errors import InvalidInput, InvalidName, UpstreamBroken
from proxy.core.json_pieces import CannotSplit
from proxy.core.links import Links
from proxy.core.listing import skip
from proxy.core.model import File, ProjectDetail, ProjectStatus, Status
from proxy.core.names import parse_project_name
from proxy.core.negotiate import Representation
from proxy.core.packed import pack
from proxy.core.parse_file import parse_file
from proxy.core.parse_html import read_html
from proxy.core.parse_json import read_json, read_json_in_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from yarl import URL

    from proxy.core.listing import Entry, Listing
    from proxy.core.model import Skipped
    from proxy.core.names import ProjectName

_LONG = 128 * 1024
"""Bytes of JSON; decoded whole in less time than a thread is made to wait for."""

_Order: TypeAlias = tuple[bool, Version, str]
_ZERO = Version("0")


def parse_detail(
    body: bytes | bytearray, content_type: str, *, url: str, name: ProjectName, may_link: Callable[[URL], bool]
) -> ProjectDetail:
    """The page of `name` that an upstream sent as `content_type` from `url` (PEP 503 in HTML, PEP 691 in JSON).

    `may_link` says whether a file may lie at an origin; it is asked once for each. Raises UpstreamBroken where the
    body is not what `content_type` says, no project's page, another project's, or of an api-version other than 1.x.
    """
    linking = _Linking(url, may_link)
    representation = content_type.partition(";")[0].strip().lower()
    if representation == Representation.JSON.value and len(body) > _LONG:
        with suppress(CannotSplit):
            return _judge(read_json_in_pieces(body), name, linking)
    return _judge(_read(body, representation, name), name, linking)


class _Linking(NamedTuple):
    """Where the page lies, and whether a file may lie at an origin."""

    url: str
    may_link: Callable[[URL], bool]


def _judge(listing: Listing, name: ProjectName, linking: _Linking) -> ProjectDetail:
    _check_api_version(listing.api_version)
    _check_name(listing.name, name)
    status = _status(listing)
    if status.status is Status.QUARANTINED:  # PEP 792: an index must not offer its files
        return ProjectDetail(name, versions=_versions((), listing.versions or (), name), status=status)
    sieve = _Sieve(Links(*linking, base=listing.base))
    files = pack(sieve.sift(listing.entries))
    versions = _versions(sieve.names, listing.versions or (), name)
    return ProjectDetail(name, files, versions, status, (*listing.unread, *sieve.skipped))


def _read(body: bytes | bytearray, representation: str, name: ProjectName) -> Listing:
    match representation:
        case Representation.JSON.value:
            return read_json(body)
        case Representation.HTML_V1.value:
            return read_html(body, name, declared=True)
        case Representation.HTML.value:
            return read_html(body, name, declared=False)
        case other:
            raise UpstreamBroken(f"the answer is not a page of the simple API but {other[:80] or 'of no type'}")


def _check_api_version(api_version: str) -> None:
    """PEP 629: a client must fail on another major version and go on with any minor one."""
    if api_version.partition(".")[0] != "1":
        raise UpstreamBroken(f"the page is of api-version {api_version!r:.40}; only 1.x is understood")


def _check_name(given: str | None, name: ProjectName) -> None:
    try:
        matches = given is None or parse_project_name(given) == name
    except InvalidName:
        matches = False
    if not matches:
        raise UpstreamBroken(f"the page speaks of the project {given!r:.80}, not of {name!r}")


def _status(listing: Listing) -> ProjectStatus:
    """PEP 792; a status that is not known here means nothing more than active."""
    try:
        status = Status(listing.status or Status.ACTIVE)
    except ValueError:
        status = Status.ACTIVE
    return ProjectStatus(status, listing.status_reason or None)


class _Sieve:
    """Lets the files to offer pass, each name once; `names` are theirs, `skipped` records those left out."""

    def __init__(self, links: Links) -> None:
        self.names: set[str] = set()
        self.skipped: list[Skipped] = []
        self._links = links

    def sift(self, entries: Iterable[Entry]) -> Iterator[File]:
        for entry in entries:
            if entry.filename in self.names:
                self.skipped.append(skip(entry.filename, "it is listed twice; the first one counts"))
                continue
            try:
                file = parse_file(entry, self._links)
            except InvalidInput as error:
                self.skipped.append(skip(entry.filename, error.message))
                continue
            self.names.add(file.filename)
            yield file


def _versions(filenames: Iterable[str], given: Sequence[str], name: ProjectName) -> tuple[str, ...]:
    """The versions that the page gives and those that its files' names tell (PEP 700: all files are covered).

    In order, each once; one that is no version (PEP 440) comes first.
    """
    known = set(given)
    uncovered = (filename for filename in filenames if _stated_version(filename) not in known)
    derived = {version for filename in uncovered if (version := version_of(filename, name))}
    ordered: dict[_Order, str] = {}
    for text in (*given, *map(str, derived)):
        ordered.setdefault(_order(text), text)
    keys = sorted(ordered, reverse=True)
    return tuple([ordered.pop(keys.pop()) for _ in range(len(keys))])  # (all keys gone at once would stop the loop)


def _stated_version(filename: str) -> str:
    """What stands where most file names have their version: far cheaper than to parse the name."""
    if filename.endswith(".whl"):
        return filename.partition("-")[2].partition("-")[0]
    return filename.rpartition("-")[2].removesuffix(".tar.gz")


def _order(text: str) -> _Order:
    try:
        return (True, Version(text), "")
    except ValueError:  # InvalidVersion, or a number that is longer than Python converts
        return (False, _ZERO, text)
