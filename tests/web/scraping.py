"""What `/-/metrics` tells, and what its counters went up by."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from tests.web.server import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.web.server import Answer, Server

Series: TypeAlias = tuple[str, frozenset[tuple[str, str]]]
Told: TypeAlias = dict[Series, float]


def series(name: str, **labels: str) -> Series:
    return f"pypi_sidecar_{name}", frozenset(labels.items())


def requests(route: str, status: int, source: str = "none") -> Series:
    return series("requests_total", route=route, status=str(status), source=source)


def read(answer: Answer) -> Told:
    """What an answer tells, each series once."""
    assert answer.status == 200
    told = [
        ((sample.name, frozenset(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    ]
    assert [name for name, times in Counter(each for each, _ in told).items() if times > 1] == []
    return dict(told)


async def scrape(server: Server) -> Told:
    return read(await server.get("/-/metrics"))


class Watch:
    """What the counters of one name went up by since they were last looked at, the scrapes themselves left out."""

    def __init__(self, server: Server, *names: str) -> None:
        self._server = server
        self._names = {f"pypi_sidecar_{name}" for name in names}
        self._before: Told = {}

    async def look(self) -> Told:
        now = await scrape(self._server)
        counted = {
            each: value
            for each, value in now.items()
            if each[0] in self._names and ("route", "metrics") not in each[1]
        }
        gone_up = {each: value - self._before.get(each, 0) for each, value in counted.items()}
        self._before = counted
        return {each: more for each, more in gone_up.items() if more}


async def until(server: Server, holds: Callable[[Told], bool]) -> None:
    """Look again and again; raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while not holds(await scrape(server)):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)
