"""What an upstream can do wrong, and what becomes of each request then: the table that `matrix_test` holds true."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from tests.fake_index import (
    BrokenGzip,
    Drip,
    Endless,
    EndlessHead,
    GzipBomb,
    Hang,
    HtmlError,
    InvalidJson,
    NotHttp,
    OlderPage,
    Redirect,
    RedirectLoop,
    Refuse,
    Reset,
    ShorterPage,
    Status,
    Truncated,
    WrongBytes,
    WrongType,
)
from tests.web.server import JSON

if TYPE_CHECKING:
    from tests.fake_index import Fault


class Outcome(Enum):
    ERROR = "502 or 503 with a message"
    CUT = "the same, or broken off before the end"
    RESUME = "the same, or the right answer in the end"
    ABSENT = "404"
    RIGHT = "the right answer all the same"
    TOLD = "what the upstream says now"
    STALE = "the answer as it was, detail=stale-if-error"
    HIT = "the answer as it was, without asking"


ERROR, CUT, RESUME, ABSENT, RIGHT, TOLD, STALE, HIT = Outcome
NA = None


class Row(NamedTuple):
    """One fault. The first five columns are of what was never cached, the faulty answer being the one that is named:
    the page, the file, its core metadata as the upstream offers it, core metadata read out of a wheel, the provenance.

    `expired` is of a page that is cached and has expired, everything of the project being faulty. Its files and their
    companions, cached too, are then HIT, or ABSENT where the page is gone.
    """

    name: str
    fault: Fault
    page: Outcome | None
    file: Outcome | None
    metadata: Outcome | None
    in_wheel: Outcome | None
    provenance: Outcome | None
    expired: Outcome

    @property
    def companions(self) -> Outcome:
        """Of the cached files, their metadata and provenance."""
        return ABSENT if self.expired in {ABSENT, TOLD} else HIT


# fmt: off
def rows(refused: str) -> tuple[Row, ...]:
    """The table, with faults of its own; `refused` is a host and port that the config names and nobody listens on."""
    return (
        #   fault                                                     page    file    metadata in wheel prov. expired
        Row("no answer", Refuse(),                                     ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("reset", Reset(),                                          ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("reset midway", Reset(after=1000),                         ERROR,  RESUME, RESUME, RESUME, ERROR,  STALE),
        Row("refused", Redirect(f"http://{refused}/"),                 ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("not HTTP", NotHttp(),                                     ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("endless head", EndlessHead(delay=0.002),                  ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("silent", Hang(),                                          ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("stuck", Hang(after=40),                                   ERROR,  RESUME, CUT,    RESUME, ERROR,  STALE),
        Row("dripping", Drip(size=1000, delay=0.1),                    ERROR,  RIGHT,  RIGHT,  RIGHT,  RIGHT,  STALE),
        Row("endless", Endless(delay=0.01),                            ERROR,  CUT,    CUT,    ERROR,  ERROR,  STALE),
        Row("truncated", Truncated(),                                  ERROR,  RESUME, RESUME, RESUME, ERROR,  STALE),
        Row("truncated chunks", Truncated(chunked=True),               ERROR,  RESUME, RESUME, RESUME, ERROR,  STALE),
        Row("500", Status(500),                                        ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("502", Status(502),                                        ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("503", Status(503),                                        ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("429", Status(429, {"Retry-After": "1"}),                  ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("401", Status(401),                                        ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("403", Status(403),                                        ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("404", Status(404),                                        ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT),
        Row("410", Status(410),                                        ERROR,  ABSENT, ABSENT, ABSENT, ABSENT, STALE),
        Row("204", Status(204, body=b""),                              ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("206", Status(206),                                        ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("304", Status(304),                                        ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  RIGHT),
        Row("HTML error", HtmlError(),                                 ERROR,  ERROR,  CUT,    ERROR,  ERROR,  STALE),
        Row("wrong type", WrongType(),                                 ERROR,  RIGHT,  RIGHT,  RIGHT,  ERROR,  STALE),
        Row("invalid JSON", InvalidJson(),                             ERROR,  ERROR,  CUT,    ERROR,  ERROR,  STALE),
        Row("no page", Status(200, {"Content-Type": JSON}, b"[]"),     ERROR,  ERROR,  CUT,    ERROR,  NA,     STALE),
        Row("broken gzip", BrokenGzip(),                               ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("gzip bomb", GzipBomb(mebibytes=160),                      ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("wrong bytes", WrongBytes(),                               ERROR,  CUT,    CUT,    RIGHT,  ERROR,  STALE),
        Row("wrong bytes midway", WrongBytes(at=300),                  ERROR,  CUT,    CUT,    ABSENT, NA,     STALE),
        Row("redirect loop", RedirectLoop(),                           ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("redirect nowhere", Redirect(""),                          ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("redirect to no port", Redirect("http://x:99999/"),        ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("redirect to loopback", Redirect("http://localhost/"),     ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("redirect to link-local", Redirect("http://169.254.1.1/"), ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("redirect to https", Redirect(f"https://{refused}/"),      ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("redirect to a file", Redirect("file:///etc/passwd"),      ERROR,  ERROR,  ERROR,  ERROR,  ERROR,  STALE),
        Row("older serial", OlderPage(),                               TOLD,   NA,     NA,     NA,     NA,     STALE),
        Row("shorter list", ShorterPage(),                             TOLD,   NA,     NA,     NA,     NA,     TOLD),
    )
# fmt: on
