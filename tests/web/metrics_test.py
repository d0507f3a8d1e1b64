"""`/-/metrics`: what happened, counted exactly, and nothing named."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy import __version__
from tests.builders import build_wheel
from tests.web.server import JSON, forwards_to
from tests.web.uploads import publish, upload

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.web.server import Answer, MakeServer, Server

    Series: TypeAlias = tuple[str, frozenset[tuple[str, str]]]

PAGE = "/simple/demo-pkg/"
OWN = build_wheel("own", "1.0")
REQUESTS = "pypi_sidecar_requests_total"
BUCKET = "pypi_sidecar_request_duration_seconds_bucket"


def series(name: str, **labels: str) -> Series:
    return f"pypi_sidecar_{name}", frozenset(labels.items())


def requests(route: str, status: int, source: str = "none") -> Series:
    return series("requests_total", route=route, status=str(status), source=source)


def read(answer: Answer) -> dict[Series, float]:
    """What an answer tells, each series once."""
    assert answer.status == 200
    told = [
        ((sample.name, frozenset(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    ]
    assert [name for name, times in Counter(each for each, _ in told).items() if times > 1] == []
    return dict(told)


async def scrape(server: Server) -> dict[Series, float]:
    return read(await server.get("/-/metrics"))


class Watch:
    """What the counters of one name went up by since they were last looked at, the scrapes themselves left out."""

    def __init__(self, server: Server, *names: str) -> None:
        self._server = server
        self._names = {f"pypi_sidecar_{name}" for name in names}
        self._before: dict[Series, float] = {}

    async def look(self) -> dict[Series, float]:
        now = await scrape(self._server)
        counted = {
            each: value
            for each, value in now.items()
            if each[0] in self._names and ("route", "metrics") not in each[1]
        }
        gone_up = {each: value - self._before.get(each, 0) for each, value in counted.items()}
        self._before = counted
        return {each: more for each, more in gone_up.items() if more}


async def test_it_is_text_that_prometheus_reads_and_no_cache_keeps(server: Server) -> None:
    answer = await server.get("/-/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    told = read(answer)
    assert told[series("build_info", version=__version__)] == 1
    assert told[series("workers")] == 1
    head = await server.head("/-/metrics")
    assert (head.status, head.body, head.headers["Content-Type"]) == (200, b"", answer.headers["Content-Type"])


async def test_every_answer_counts_once_by_route_status_and_source(server: Server, index: FakeIndex) -> None:
    file = index.add_wheel("demo-pkg", "1.0")
    watch = Watch(server, "requests_total")
    link = await server.link(PAGE, file.filename)
    page = await server.get(PAGE, Accept=JSON)
    await server.get(PAGE, Accept=JSON, If_None_Match=page.headers["ETag"])
    await server.get(link)
    await server.get(link, Range="bytes=0-3")
    await server.head(link)
    assert await watch.look() == {
        requests("simple-page", 200, "miss"): 1,
        requests("simple-page", 200, "hit"): 1,
        requests("simple-page", 304, "hit"): 1,
        requests("file", 200, "miss"): 1,
        requests("file", 206, "hit"): 1,
        requests("file", 200, "hit"): 1,
    }


async def test_refusals_redirects_and_paths_that_lead_nowhere_count_too(server: Server) -> None:
    watch = Watch(server, "requests_total")
    await server.get("/simple/No_Such/")
    await server.get("/simple/no-such/")
    await server.get("/simple")
    await server.get(f"/files/{'0' * 64}/demo-1.0.tar.gz", PRIVATE_TOKEN="wrong")
    await server.get("/no/such/path")
    await server.ask("DELETE", "/simple/")
    await server.get("/-/health")
    assert await watch.look() == {
        requests("simple-page", 301): 1,
        requests("simple-page", 404): 1,
        requests("simple-root", 301): 1,
        requests("file", 401): 1,
        requests("other", 404): 1,
        requests("other", 405): 1,
        requests("health", 200): 1,
    }


async def test_local_names_are_told_from_what_is_cached(server: Server) -> None:
    watch = Watch(server, "requests_total")
    await publish(server, OWN)
    await upload(server, OWN)
    await server.get("/simple/")
    link = await server.link("/simple/own/", OWN.filename)
    await server.get(link)
    await server.get(f"{link}.metadata")
    await server.get("/api/v4/projects/1/packages")
    assert await watch.look() == {
        requests("upload", 201): 1,
        requests("upload", 400): 1,
        requests("simple-root", 200, "local"): 1,
        requests("simple-page", 200, "local"): 1,
        requests("file", 200, "local"): 1,
        requests("metadata", 200, "local"): 1,
        requests("packages-api", 200): 1,
    }


async def test_hits_misses_and_stale_answers_are_summed_up(make_server: MakeServer, index: FakeIndex) -> None:
    index.add_wheel("demo-pkg", "1.0")
    server = await make_server(short_lived_pages(index))
    watch = Watch(server, "cache_hits_total", "cache_misses_total", "cache_revalidations_total", "stale_answers_total")
    await server.page(PAGE)
    assert await watch.look() == {series("cache_misses_total"): 1}
    await server.page(PAGE)
    assert await watch.look() == {series("cache_revalidations_total"): 1}
    await index.down()
    await server.page(PAGE)
    assert await watch.look() == {series("stale_answers_total"): 1}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_bytes_of_bodies_are_those_that_were_sent(server: Server, method: str) -> None:
    await publish(server, OWN)
    link = await server.link("/simple/own/", OWN.filename)
    watch = Watch(server, "sent_bytes_total")
    await watch.look()
    whole = await server.ask(method, link)
    part = await server.ask(method, link, {"Range": "bytes=10-19"})
    sent = len(whole.body) + len(part.body)
    assert sent == (len(OWN.data) + 10 if method == "GET" else 0)
    assert await watch.look() == ({series("sent_bytes_total", route="file", source="local"): sent} if sent else {})


async def test_histograms_count_what_the_requests_count(server: Server, index: FakeIndex) -> None:
    index.add_wheel("demo-pkg", "1.0")
    for _ in range(3):
        await server.page(PAGE)
    await server.get("/simple/no-such/")
    told = await scrape(server)
    pages = sum(
        value for (name, labels), value in told.items() if name == REQUESTS and ("route", "simple-page") in labels
    )
    assert pages == 4
    assert told[series("request_duration_seconds_count", route="simple-page")] == pages
    assert told[series("request_duration_seconds_bucket", route="simple-page", le="+Inf")] == pages
    assert told[series("request_duration_seconds_sum", route="simple-page")] > 0
    buckets = [
        value for (name, labels), value in told.items() if name == BUCKET and ("route", "simple-page") in labels
    ]
    assert buckets == sorted(buckets)


async def test_what_clients_send_makes_no_series(server: Server) -> None:
    before = set(await scrape(server))
    await server.get("/no/such/path")
    await server.ask("BREW", "/no/such/path")
    foreseen = set(await scrape(server))
    for number in range(20):
        hostile = f"x{number}%22%7D%0Aevil_total%201"
        await server.get(f"/{hostile}")
        await server.get(f"/simple/{hostile}/")
        await server.get(f"/api/v4/projects/{hostile}/packages/pypi/simple/")
        await server.get(f"/files/{hostile}/{hostile}")
        await server.ask(f"M{number}", f"/{hostile}", {"Private-Token": hostile, "User-Agent": hostile})
    names = {name for name, _ in await scrape(server)}
    assert names == {name for name, _ in before | foreseen}
    text = (await server.get("/-/metrics")).body.decode()
    assert "evil" not in text
    assert "x1" not in text


def short_lived_pages(index: FakeIndex) -> str:
    return f'[cache]\npage_ttl = "0s"\n{forwards_to(index)}'
