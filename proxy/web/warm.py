"""The warm lane: a request that was answered before, byte for byte, is answered again from what is in memory.

It stands in front of aiohttp and knows no HTTP. What it goes by is the whole head of a request: where the same bytes
came before on a connection in the same state, and all that the answer stood on is as it was, the slow lane would say
the same again but for the date, the request id and the age in `Cache-Status`. All else is aiohttp's: what comes in
pieces or several at once, has a body, bears credentials, or changes the connection.

What a head was answered with is learnt when the slow lane has answered it, and for a second at a time: then rows,
files and the order of what is kept are looked at anew by the slow lane.
"""

from __future__ import annotations

import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time

from proxy.core.cache_status import source_of
from proxy.web.access_log import ACCESS_LOG, Answered
from proxy.web.counting import kind_of, size_of
from proxy.web.refusals import new_id
from proxy.web.site import BEARS_SECRET, CURRENT, SITE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from proxy.core.cache_status import CacheStatus
    from proxy.core.metrics import AnswerCells
    from proxy.services.grounds import Grounds, Mark
    from proxy.services.pages import Rendered
    from proxy.web.site import Site

MAX_HEAD: Final = 4096
"""Bytes of a request head that is remembered; clients send a few hundred."""
AT_ONCE: Final = 256 * 1024
"""Bytes of a body that leaves with its head; a longer one leaves in pieces (`proxy.web.feed`)."""
MAX_SIZE: Final = 24 * 1024 * 1024
"""Bytes of all that is remembered: heads and small files. Pages are kept elsewhere (`services.pages`)."""
_OVERHEAD: Final = 1024
"""Bytes, about, that an answer takes besides."""
_END: Final = b"\r\n\r\n"
_ID: Final = b"\0"
"""Stands where the request id is to be; no header field holds it."""
_CHANGING: Final = ("Cache-Status", "Date", "X-Request-Id")
"""The fields that are another each time, in the order in which the slow lane writes them."""


class Standing(NamedTuple):
    """What an answer stands on, noted with the request by who made it.

    `body` is a page, or the bytes of a small file. `cache_status` is the one to give again; None: the page's own at
    the time. `note` is called each time the answer is given.
    """

    grounds: Grounds
    body: Rendered | bytes
    cache_status: CacheStatus | None = None
    note: Callable[[], None] | None = None


STANDING = web.RequestKey("standing", Standing)


class _Given(NamedTuple):
    """The answer as it is given from `since` until then, while the mark stays: around the request's id."""

    since: datetime
    until: datetime
    mark: Mark
    before: bytes
    after: bytes
    cache_status: str


@dataclass(slots=True)
class _Answer:
    """What one head is answered with. `template` is the answer's head with a place for each of `_CHANGING`; `body`
    gives None where the page is kept no more; `room` is what all this takes, in bytes.
    """

    standing: Standing
    template: bytes
    body: Callable[[], bytes | None]
    cells: AnswerCells
    path: str
    status: str
    length: int
    room: int
    given: _Given


class WarmLane:
    """The answers of one application. At most MAX_SIZE is remembered, what was learnt last; of one site at a time."""

    def __init__(self, app: web.Application) -> None:
        self._current = app[CURRENT]
        self._site: Site | None = None
        self._log = app[ACCESS_LOG]
        self._answers: dict[bytes, _Answer] = {}
        self._room = 0

    def answer(self, head: bytes, remote: str) -> tuple[bytes, bytes] | None:
        """What the slow lane would answer now, logged and counted; None where that is not known.

        What is to leave at once, and what is left of a long body.
        """
        site = self._current.site
        answer = self._answers.get(head) if site is self._site else None
        if answer is None:
            return None
        began = time.perf_counter()
        given = _renew(answer, site)
        body = answer.body()
        if given is None or body is None:
            self._forget(head)
            return None
        request_id = new_id()
        self._tell(site, answer, remote, request_id, time.perf_counter() - began)
        if len(body) > AT_ONCE:
            return b"".join((given.before, request_id.encode(), given.after)), body
        return b"".join((given.before, request_id.encode(), given.after, body)), b""

    def learn(self, head: bytes, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """The slow lane has answered this head, whole; remember it where the answer may be given again."""
        if not isinstance(request, web.Request) or not _is_plain(request, response):
            return
        site = request[SITE]
        if site is not self._current.site or (answer := _make(head, request, response)) is None:
            return
        if site is not self._site:  # the config was read again
            self._answers.clear()
            self._site, self._room = site, 0
        self._forget(head)
        self._answers[head] = answer
        self._room += answer.room
        while self._room > MAX_SIZE:
            self._forget(next(iter(self._answers)))

    def _tell(self, site: Site, answer: _Answer, remote: str, request_id: str, seconds: float) -> None:
        site.meters.answered(answer.cells, seconds, answer.length)
        if answer.standing.note:
            answer.standing.note()
        if site.access_log:
            path, status, told = answer.path, answer.status, answer.given.cache_status
            self._log.note(Answered(time.time(), remote, "GET", path, status, seconds, request_id, told))

    def _forget(self, head: bytes) -> None:
        if (gone := self._answers.pop(head, None)) is not None:
            self._room -= gone.room


def _renew(answer: _Answer, site: Site) -> _Given | None:
    """What is to be given now: what was given before, or the same as of now; None where it does not stand."""
    given, now = answer.given, site.recall.now()
    if given.since <= now < given.until and site.recall.is_marked(given.mark):
        return given
    renewed = _give(answer.standing, answer.template, site, now, site.recall.mark())
    if renewed:
        answer.given = renewed
    return renewed


def _make(head: bytes, request: web.Request, response: web.StreamResponse) -> _Answer | None:
    """The answer to be remembered; None where it does not stand any more."""
    standing, site, template = request[STANDING], request[SITE], _template(request, response)
    if template is None:
        return None
    given = _give(standing, template, site, site.recall.now(), site.recall.mark())
    if given is None:
        return None
    body, held = _keep(standing.body if response.status == 200 else b"")
    return _Answer(
        standing=standing._replace(body=b""),
        template=template,
        body=body,
        cells=site.meters.cells_of(kind_of(request), response.status, source_of(given.cache_status)),
        path=request.rel_url.raw_path,
        status=str(response.status),
        length=size_of(request, response),
        room=2 * len(head) + 2 * len(template) + held + _OVERHEAD,
        given=given,
    )


def _give(standing: Standing, template: bytes, site: Site, now: datetime, mark: Mark) -> _Given | None:
    """The answer as of now; None where it does not stand. (`mark` is from before it was looked at.)"""
    stand = site.recall.find(standing.grounds, now)
    if stand is None:
        return None
    told = (standing.cache_status or stand.cache_status).header
    before, after = (template % (told.encode(), rfc822_formatted_time().encode(), _ID)).split(_ID)
    return _Given(now, stand.until, mark, before, after, told)


def is_whole_head(data: bytes) -> bool:
    """Whether these bytes are the head of one GET, whole, and nothing else."""
    return len(data) <= MAX_HEAD and data.startswith(b"GET ") and data.find(_END) == len(data) - len(_END)


def _is_plain(request: web.Request, response: web.StreamResponse) -> bool:
    """Whether the same bytes would be heard and answered in the same way again, on a connection as it was before."""
    return (
        STANDING in request
        and BEARS_SECRET not in request
        and response.status in {200, 304}
        and bool(response.keep_alive)
        and not request.body_exists
        and "Upgrade" not in request.headers
    )


def _template(request: web.Request, response: web.StreamResponse) -> bytes | None:
    """The head of the answer as aiohttp has written it; None where its fields stand in another order."""
    if tuple(name for name in response.headers if name in _CHANGING) != _CHANGING:
        return None
    version = request.version
    lines = [f"HTTP/{version.major}.{version.minor} {response.status} {response.reason}"]
    lines += (f"{name}: {'%b' if name in _CHANGING else value}" for name, value in _escaped(response))
    return "\r\n".join(lines).encode() + _END


def _escaped(response: web.StreamResponse) -> Iterator[tuple[str, str]]:
    for name, value in response.headers.items():
        yield name, value.replace("%", "%%")


def _keep(body: Rendered | bytes) -> tuple[Callable[[], bytes | None], int]:
    """How to get the bytes again, and how much is held for it. A page is held by those who render pages."""
    if isinstance(body, bytes):
        return lambda: body, len(body)
    page = weakref.ref(body)

    def find() -> bytes | None:
        rendered = page()
        return rendered.body if rendered else None

    return find, 0
