"""What clients do to their connections, counted."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from proxy.web.connections import Limits
from tests.web.scraping import scrape, series, until

if TYPE_CHECKING:
    from tests.hostile.bounded import BoundedServer
    from tests.hostile.conftest import MakeBounded

CONNECTIONS = series("connections")
REFUSED = series("refused_connections_total")


async def test_open_connections_are_told_and_forgotten_when_they_close(server: BoundedServer) -> None:
    asking = (await scrape(server))[CONNECTIONS]
    async with AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(server.connect())
        await until(server, lambda told: told[CONNECTIONS] == asking + 5)
    await until(server, lambda told: told[CONNECTIONS] == asking)


async def test_who_is_refused_before_it_was_heard_is_counted(make_bounded: MakeBounded) -> None:
    server = await make_bounded(Limits(head=0.05, look=0.01))
    assert (await scrape(server))[REFUSED] == 0
    assert (await server.raw(b"no HTTP\r\n\r\n")).status == 400
    assert (await scrape(server))[REFUSED] == 1
    assert (await server.raw(b"GET / HTTP/1.1\r\n" + 70_000 * b"x")).status in {400, 431}
    assert (await scrape(server))[REFUSED] == 2
