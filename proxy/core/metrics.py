"""What the server counts. No label names a project, a path, a token, an address or an upstream: anybody may read."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from proxy.core.cache_status import Source
from proxy.core.cells import Layout


class Route(StrEnum):
    """What was asked for, whether of a project, of a group or by the short form."""

    SIMPLE_ROOT = "simple-root"
    SIMPLE_PAGE = "simple-page"
    FILE = "file"
    METADATA = "metadata"
    PROVENANCE = "provenance"
    UPLOAD = "upload"
    PACKAGES_API = "packages-api"
    HEALTH = "health"
    METRICS = "metrics"
    OTHER = "other"


class Question(StrEnum):
    """What an upstream is asked for."""

    PAGE = "page"
    PAGE_HEAD = "page-head"
    FILE = "file"
    FILE_HEAD = "file-head"
    PROVENANCE = "provenance"


class Failure(StrEnum):
    """How an upstream fails: it cannot be had (UpstreamTrouble), or does not keep its word (UpstreamBroken)."""

    TROUBLE = "trouble"
    BROKEN = "broken"


class Ended(StrEnum):
    """How a download ended. Broken: its bytes were not those that the upstream had promised."""

    CACHED = "cached"
    TROUBLE = "trouble"
    BROKEN = "broken"
    STORAGE = "storage"


class Shared(StrEnum):
    """What is fetched once for all who want it."""

    PAGE = "page"
    FILE = "file"


class Deleted(StrEnum):
    PACKAGE = "package"
    FILE = "file"


NO_SOURCE: Final = "none"
"""Of an answer that came from no store: an error, a redirect, an upload."""
OTHER_STATUS: Final = "other"
STATUSES: Final = (
    *("200", "201", "204", "206", "301", "302", "304"),
    *("400", "401", "403", "404", "405", "406", "408", "410", "413", "416", "417", "429", "499"),
    *("500", "502", "503", "507", OTHER_STATUS),
)
_SOURCES: Final = (NO_SOURCE, *Source)
_ROUTES: Final = tuple(Route)

LAYOUT: Final = Layout()

REQUESTS: Final = LAYOUT.counter(
    "requests",
    "Answers, by what was asked for, their status, and where they came from.",
    sparse=True,
    route=_ROUTES,
    status=STATUSES,
    source=_SOURCES,
)
SENT_BYTES: Final = LAYOUT.counter(
    "sent_bytes", "Bytes of the bodies of whole answers.", sparse=True, route=_ROUTES, source=_SOURCES
)
DURATION: Final = LAYOUT.histogram(
    "request_duration_seconds",
    "Seconds from a request's head to its answer; of a file, to the last byte that was handed over.",
    sparse=True,
    route=_ROUTES,
)
BROKEN_ANSWERS: Final = LAYOUT.counter(
    "broken_answers",
    "Answers that were begun and not finished: their client left, or what was sent failed.",
    sparse=True,
    route=_ROUTES,
)
CONNECTIONS: Final = LAYOUT.gauge("connections", "Connections of clients that are open.")
REFUSED: Final = LAYOUT.counter(
    "refused_connections", "Connections ended before a request was heard: too many, too much, no HTTP."
)

UPSTREAM_REQUESTS: Final = LAYOUT.counter(
    "upstream_requests", "What upstreams were asked. What is tried again at once counts once.", what=tuple(Question)
)
UPSTREAM_FAILURES: Final = LAYOUT.counter(
    "upstream_failures",
    "What upstreams failed at: they could not be had (trouble), or did not keep their word (broken).",
    what=tuple(Question),
    reason=tuple(Failure),
)
UPSTREAM_DURATION: Final = LAYOUT.histogram(
    "upstream_request_duration_seconds",
    "Seconds until an upstream answered or failed: with the whole page, with the head of a file.",
    sparse=True,
    what=tuple(Question),
)
UPSTREAM_BYTES: Final = LAYOUT.counter(
    "upstream_received_bytes",
    "Bytes that upstreams sent, pages as they decode.",
    what=(Question.PAGE, Question.FILE, Question.PROVENANCE),
)
DOWNLOADS: Final = LAYOUT.counter("downloads", "Files fetched for the cache, by how that ended.", result=tuple(Ended))
COALESCED: Final = LAYOUT.counter(
    "coalesced_requests", "Requests that joined a fetch under way in place of one more.", what=tuple(Shared)
)

EVICTIONS: Final = LAYOUT.counter("evictions", "Cached files removed to make room.")
EVICTED_BYTES: Final = LAYOUT.counter(
    "evicted_bytes", "Bytes of cached files and pages removed to make room.", what=("files", "pages")
)
SWEPT_BYTES: Final = LAYOUT.counter("swept_bytes", "Bytes of leftovers removed: parts, and blobs that nobody names.")
UPLOADS: Final = LAYOUT.counter("uploads", "Files published.")
UPLOADED_BYTES: Final = LAYOUT.counter("uploaded_bytes", "Bytes of files published.")
DELETIONS: Final = LAYOUT.counter("deletions", "Packages and single files deleted by the API.", what=tuple(Deleted))


class AnswerCells(NamedTuple):
    """Where answers of one kind are counted."""

    requests: int
    duration: int
    sent: int


def answer_cells(route: Route, status: int, source: Source | None) -> AnswerCells:
    known, origin = str(status), source or NO_SOURCE
    return AnswerCells(
        REQUESTS.cell(route, known if known in STATUSES else OTHER_STATUS, origin),
        DURATION.cell(route),
        SENT_BYTES.cell(route, origin),
    )
