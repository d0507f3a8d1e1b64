"""The connections of clients, within bounds: how many there are, how long each may take to say what it wants, and to
take what it gets. aiohttp speaks HTTP on them; here is what it leaves open.

    ASKING --whole head--> ANSWERED --answer sent--> QUIET --first byte--> ASKING
       any of them --no HTTP, too much, too many--> REFUSED

A request that stands in the warm lane is answered where it comes in, without leaving QUIET (`proxy.web.warm`).

Who connects while there is no room takes the place of the connection that has asked for nothing longest. It is turned
away only where all the others are being answered, or came just now.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from aiohttp import web
from aiohttp.http import HttpVersion10
from aiohttp.http_exceptions import BadStatusLine

from proxy.core.metrics import CONNECTIONS, REFUSED
from proxy.web.feed import Feed
from proxy.web.refusals import last_response, new_id, refusal
from proxy.web.sendfile import STALL
from proxy.web.site import CURRENT
from proxy.web.warm import WarmLane, is_whole_head

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from aiohttp import StreamReader
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage

    from proxy.services.meters import Meters

    Handle: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
    MakeRequest: TypeAlias = Callable[
        [RawRequestMessage, StreamReader, web.RequestHandler, AbstractStreamWriter, asyncio.Task[None]],
        web.BaseRequest,
    ]

logger = logging.getLogger(__name__)

MAX_HEAD = 64 * 1024
"""Bytes of a request head that is not whole yet; aiohttp bounds each line and their number, not the sum."""
MIN_TAKEN = 64 * 1024
"""Bytes that a client must take within `Limits.stall`, where so many wait for it."""
MAX_TURNED_AWAY = 64
"""Connections that are being told so at once; further ones are closed without a word."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients get. Times are in seconds."""

    connections: int = 1000
    """At once. Each costs a descriptor, and one more while a file is sent on it."""
    head: float = 15.0
    """For a whole request head, from the connection's start or the head's first byte. A modem needs 3 for 8 KB."""
    idle: float = 75.0
    """Between two requests. Reverse proxies go after 60, and should be the ones who do: they know what they send."""
    stall: float = STALL
    """For a client to take `MIN_TAKEN` of the bytes that wait for it, or all there are."""
    linger: float = 2.0
    """For who was refused to read why. To close before it has sent all would take the answer away (RFC 9112, 9.6)."""
    look: float = 1.0
    """How often all this is looked at, and how long a new connection keeps its place in any case."""


class Phase(Enum):
    ASKING = auto()
    ANSWERED = auto()
    QUIET = auto()
    REFUSED = auto()


class Connection(web.RequestHandler):
    """One connection. What a client sends after it was refused is dropped."""

    __slots__ = (
        "_all",
        "_between",
        "_body",
        "_closes",
        "_ended",
        "_fed",
        "_feed",
        "_gone",
        "_head",
        "_heard",
        "_lane",
        "_limits",
        "_phase",
        "_remote",
        "_since",
        "_taken",
        "_taken_at",
        "_wire",
        "_writer",
        "warm_at",
    )

    def __init__(self, everyone: Connections, limits: Limits) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            everyone,
            loop=loop,
            access_log=cast("logging.Logger", None),  # the middlewares write one
            auto_decompress=False,  # no client compresses an upload, and nobody shall be made to inflate a bomb
            keepalive_timeout=limits.idle,
        )
        self._all = everyone
        self._limits = limits
        self._phase = Phase.ASKING
        self._since = self._taken_at = loop.time()
        self._head = self._taken = 0
        self._writer: AbstractStreamWriter | None = None
        self._body: StreamReader | None = None
        self._ended = False
        self._between = True  # whether what was handed to aiohttp last may have ended a request
        self._feed: Feed | None = None
        self._fed: asyncio.Future[None] | None = None  # for who waits for the feed's end
        self._closes = False
        self.warm_at = 0.0  # when the lane answered here last, by the loop's clock
        self._heard: bytes | None = None  # the head that is being answered, where it came by itself and in one piece
        self._gone: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast("asyncio.Transport", transport)
        self._lane = self._all.warm
        self._remote = _address(transport)
        if self._all.let_in(self):
            super().connection_made(transport)
        else:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections; try again in a moment")

    def connection_lost(self, exc: BaseException | None) -> None:
        self._all.let_go(self)
        if self._feed is not None:
            self._end_feed()
        if not self._gone.done():
            self._gone.set_result(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.REFUSED:
            return
        if self._lane is not None and self._is_idle():
            answer = self._lane.answer(data, self._remote)
            if answer is not None:
                self._answer_warm(*answer)
                return
            self._heard = data if is_whole_head(data) else None
        if data and self._phase is Phase.QUIET:
            self._enter(Phase.ASKING)
        if self._phase is Phase.ASKING:
            if self._head > MAX_HEAD:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "send fewer or shorter header fields")
                return
            self._head += len(data)
        if data:
            self._between = data.endswith(b"\r\n\r\n")
        super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's signature, which aiohttp narrows
        """The client sends no more, but may listen (`nc` and some checkers do): what it asked in full is answered."""
        bodies = [body for _, body in self._messages]
        if self._phase is Phase.ANSWERED and self._body:
            bodies.append(self._body)
        self._ended = self._phase is not Phase.REFUSED and bool(bodies) and all(body.is_eof() for body in bodies)
        return self._ended

    def begin(self, writer: AbstractStreamWriter, body: StreamReader) -> None:
        """A whole request head came, and is answered by this writer."""
        self._writer, self._body, self._taken = writer, body, 0
        self._enter(Phase.ANSWERED)
        self._all.note_busy(self)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        heard, self._heard = self._heard, None
        finished = await super().finish_response(request, resp, start_time)
        if heard and self._lane and not finished[1]:
            self._lane.learn(heard, request, resp)
        if self._phase is Phase.REFUSED:
            await self._see_off()
        else:  # the rest of a body that nobody reads is no head; aiohttp bounds it
            request.content.on_eof(self._rest)
        if self._ended and not self._messages:
            self.close()
        return finished

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request, and any part of one may be a secret
    ) -> web.StreamResponse:
        """What cannot be told from inside the application: bytes that are no HTTP, and faults of the server's own."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun and cannot be taken back")
        self._phase, request_id = Phase.REFUSED, new_id()
        self._all.note_refused()
        logger.log(
            logging.ERROR if status >= 500 else logging.INFO,
            "request %s from %s: %d %s",
            request_id,
            request.remote,
            status,
            type(exc).__name__,
            exc_info=exc if status >= 500 else None,
        )
        return last_response(HTTPStatus(status), request_id)

    def pause_writing(self) -> None:
        """More waits to be sent than is sent at once: the client is busy reading."""
        super().pause_writing()
        self._all.note_busy(self)
        if self._feed is not None:
            self._feed.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._phase is Phase.QUIET:
            self._all.note_waiting(self)
        if self._feed is not None:
            self._feed.go_on()

    def look(self, now: float) -> None:
        """Close what has taken too long by now."""
        if self._phase is Phase.ASKING and now - self._since > self._limits.head:
            self.force_close()
        unsent = self._wire.get_write_buffer_size()
        taken = (self._writer.output_size if self._writer else 0) - unsent
        if not unsent or taken < self._taken or taken >= self._taken + MIN_TAKEN:  # less: the lane has answered
            self._taken, self._taken_at = taken, now
        elif now - self._taken_at > self._limits.stall:
            self._wire.abort()

    def make_room(self) -> None:
        """Close at once, whatever waits to be sent."""
        self._wire.abort()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's signature
        """What is running gets `timeout` seconds to end. aiohttp would then ask it to, and wait as long again."""
        if self._feed is not None:
            self._fed = self._loop.create_future()
            await asyncio.wait({self._fed}, timeout=timeout)
        end = None if timeout is None else self._loop.call_later(timeout, self._end)
        try:
            await super().shutdown(timeout)
        finally:
            if end is not None:
                end.cancel()

    def _end(self) -> None:
        if self._task_handler is not None:
            self._task_handler.cancel()

    def _is_idle(self) -> bool:
        """Whether the next bytes begin a request, all before them is answered, and the client has taken it.

        While a long answer is fed nothing is read. aiohttp's parser may hold half a head that came behind an earlier
        request; where it waits for no body, bytes that end in an empty line are no such half.
        """
        waiter = self._waiter  # of aiohttp, for the next request
        return (
            waiter is not None
            and self._between
            and not (self._head or self._messages or self._upgraded or waiter.done())
            and not self._wire.get_write_buffer_size()
        )

    def _answer_warm(self, answer: bytes, rest: bytes) -> None:
        """What follows from an answer of the lane is worked out when it matters."""
        self.warm_at = self._loop.time()
        if self._phase is Phase.ASKING:
            self._enter(Phase.QUIET)
        self._wire.write(answer)
        if rest:
            self._feed = Feed(self._wire, self._loop, rest, self._end_feed)
            self._feed.go_on()

    def _end_feed(self) -> None:
        self._feed = None
        self.warm_at = self._loop.time()
        if self._fed is not None and not self._fed.done():
            self._fed.set_result(None)
        if self._closes:
            self.close()

    def close(self) -> None:
        """After a long answer of the lane, which aiohttp knows nothing of."""
        self._closes = self._feed is not None
        if not self._closes:
            super().close()

    def _process_keepalive(self) -> None:
        if self._feed is not None:
            self.warm_at = self._loop.time()
        self._next_keepalive_close_time = max(self._next_keepalive_close_time, self.warm_at + self._keepalive_timeout)
        super()._process_keepalive()

    def _rest(self) -> None:
        """The answer was sent and the request has come to its end."""
        self._enter(Phase.QUIET)
        self._all.note_waiting(self)

    def _enter(self, phase: Phase) -> None:
        self._phase, self._since, self._head = phase, self._loop.time(), 0

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        """Answer by hand and leave: no request was heard that aiohttp could answer."""
        self._phase = Phase.REFUSED
        self._all.note_refused()
        if not self._all.may_refuse(self):
            self._wire.abort()
            return
        self._wire.write(refusal(status, why))
        self._loop.call_later(self._limits.linger, self._wire.abort)
        self._wire.write_eof()

    async def _see_off(self) -> None:
        """Wait a little for the client to go by itself."""
        if not self._wire.is_closing():
            self._wire.write_eof()
            await asyncio.wait({self._gone}, timeout=self._limits.linger)


def _address(transport: asyncio.BaseTransport) -> str:
    """As `web.Request.remote` has it."""
    peer = transport.get_extra_info("peername")
    return str(peer[0] if isinstance(peer, (list, tuple)) else peer or "-")


class Connections(web.Server):
    """All connections of one listener; a `web.Server` that makes `Connection`s.

    `warm` is the lane in front of the application, None where each request is to take the long way.
    """

    def __init__(
        self, handle: Handle, make_request: MakeRequest, limits: Limits, meters: Meters, warm: WarmLane | None
    ) -> None:
        super().__init__(self._hear, request_factory=self._begin)
        self.warm = warm
        self._handle = handle
        self._make_request_of_app = make_request
        self._limits = limits
        self._meters = meters
        self._open: set[Connection] = set()
        self._waiting: dict[Connection, float] = {}  # since when, the longest first
        self._refused: set[Connection] = set()
        self._now = asyncio.get_running_loop().time
        self._timer = asyncio.get_running_loop().call_later(limits.look, self._look)

    def __call__(self) -> Connection:
        return Connection(self, self._limits)

    def let_in(self, connection: Connection) -> bool:
        """Whether there is room, or some could be made."""
        if len(self._open) >= self._limits.connections and not self._make_room():
            return False
        self._open.add(connection)
        self._meters.set(CONNECTIONS.cell(), len(self._open))
        self.note_waiting(connection)
        return True

    def let_go(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._meters.set(CONNECTIONS.cell(), len(self._open))
        self._refused.discard(connection)
        self._waiting.pop(connection, None)

    def note_waiting(self, connection: Connection) -> None:
        """From now on it waits for a request."""
        if connection in self._open:
            self._waiting[connection] = self._now()

    def note_busy(self, connection: Connection) -> None:
        self._waiting.pop(connection, None)

    def note_refused(self) -> None:
        self._meters.add(REFUSED.cell())

    def may_refuse(self, connection: Connection) -> bool:
        """Whether it can be told why; so many linger, and no more."""
        if len(self._refused) >= MAX_TURNED_AWAY:
            return False
        self._refused.add(connection)
        return True

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's signature
        self._timer.cancel()
        await super().shutdown(timeout)

    def _make_room(self) -> bool:
        longest = self._longest_waiting()
        if longest is None or self._now() - self._waiting[longest] < self._limits.look:
            return False
        self.let_go(longest)
        longest.make_room()
        return True

    def _longest_waiting(self) -> Connection | None:
        """Who was answered by the warm lane has waited since then: it is noted here, when it matters."""
        while (longest := next(iter(self._waiting), None)) is not None:
            noted = self._waiting[longest]
            if longest.warm_at <= noted:
                return longest
            self.note_busy(longest)
            self._waiting[longest] = longest.warm_at
        return None

    def _look(self) -> None:
        now = self._now()
        for connection in tuple(self._open):
            connection.look(now)
        self._timer = asyncio.get_running_loop().call_later(self._limits.look, self._look)

    async def _hear(self, request: web.BaseRequest) -> web.StreamResponse:
        """A request line without a version is HTTP/0.9, whose answers have no head: nobody speaks it any more."""
        if request.version < HttpVersion10:
            return request.protocol.handle_error(request, 400, BadStatusLine("no version"))
        return await self._handle(request)

    def _begin(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        cast("Connection", protocol).begin(writer, payload)
        return self._make_request_of_app(message, payload, protocol, writer, task)


class Runner(web.AppRunner):
    """Runs an application on bounded connections; `shutdown_timeout` is in seconds. `warm`: with the warm lane."""

    def __init__(self, app: web.Application, limits: Limits, *, shutdown_timeout: float, warm: bool = True) -> None:
        super().__init__(app, handle_signals=False, access_log=None, shutdown_timeout=shutdown_timeout)
        self._limits = limits
        self._warm = WarmLane(app) if warm else None

    async def _make_server(self) -> web.Server:
        plain = await super()._make_server()
        meters = self._app[CURRENT].site.meters
        return Connections(plain.request_handler, plain.request_factory, self._limits, meters, self._warm)
