"""`/-/metrics`: what happened, counted exactly, and nothing named."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from proxy import __version__
from proxy.compose import make_board
from proxy.core.metrics import LAYOUT, UPLOADS, Route
from proxy.services import cache_gauge
from proxy.services.cache_gauge import CacheGauge
from proxy.web.app import build_app
from proxy.web.counting import KINDS
from tests.builders import build_wheel
from tests.fake_index import Gate, HtmlError, Status, WrongBytes
from tests.web.packages_api import CONFIG, OWNER, TOOLS, files_of, packages_of, publish_into
from tests.web.scraping import Watch, read, requests, scrape, series, until
from tests.web.server import JSON, Server, forwards_to, kept_by
from tests.web.uploads import publish, upload

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex, Fault
    from tests.web.scraping import Told
    from tests.web.server import MakeServer

MANUAL = Path(__file__).parents[2] / "docs" / "metrics.md"
IDENTICAL = '[groups."default"]\nid = 1\n[projects."default/packages"]\nid = 1\nduplicates = "identical"\n'
PAGE = "/simple/demo-pkg/"
WHEEL = build_wheel("demo-pkg", "1.0", size_padding=100_000)
LINK = f"/files/{WHEEL.sha256}/{WHEEL.filename}"
OWN = build_wheel("own", "1.0")
REQUESTS = "pypi_sidecar_requests_total"
BUCKET = "pypi_sidecar_request_duration_seconds_bucket"


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


async def test_what_never_occurred_is_not_told_where_most_never_does(server: Server) -> None:
    await server.get("/-/health")
    labels = [labels for name, labels in await scrape(server) if name == REQUESTS]
    assert labels == [requests("health", 200)[1]]


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


async def test_the_bytes_of_long_pages_count_too(server: Server, index: FakeIndex) -> None:
    """Their bodies may leave in pieces."""
    for number in range(1500):
        index.add_file("demo-pkg", f"demo_pkg-{number}.tar.gz", b"x")
    page = await server.get(PAGE, Accept=JSON)
    assert len(page.body) > 400_000
    told = await scrape(server)
    assert told[series("sent_bytes_total", route="simple-page", source="miss")] == len(page.body)


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


async def test_what_upstreams_are_asked_is_what_they_were_asked(server: Server, index: FakeIndex) -> None:
    file = index.add_wheel("demo-pkg", "1.0", size_padding=100_000)
    watch = Watch(server, "upstream_requests_total", "upstream_received_bytes_total", "downloads_total")
    link = await server.link(PAGE, file.filename)
    await server.get(link)
    await server.get(link)
    await server.head("/simple/absent/")
    await until(server, lambda told: told[series("downloads_total", result="cached")] > 0)
    told = await watch.look()
    page = told.pop(series("upstream_received_bytes_total", what="page"))
    assert page > len(file.filename)
    assert told == {
        series("upstream_requests_total", what="page"): index.count("GET", PAGE),
        series("upstream_requests_total", what="page-head"): index.count("HEAD", "/simple/*"),
        series("upstream_requests_total", what="file"): index.count("GET", "*.whl"),
        series("upstream_received_bytes_total", what="file"): index.bytes_sent("*.whl"),
        series("downloads_total", result="cached"): 1,
    }


async def test_an_upstream_that_is_not_asked_fails_at_nothing(make_server: MakeServer, index: FakeIndex) -> None:
    index.add_built("demo-pkg", WHEEL)
    online = await make_server(forwards_to(index))
    await online.page(PAGE)
    await online.close()
    server = await make_server(f"[cache]\noffline = true\n{forwards_to(index)}")
    assert (await server.get(LINK)).status == 503
    assert await Watch(server, "upstream_requests_total", "upstream_failures_total", "downloads_total").look() == {
        series("downloads_total", result="trouble"): 1
    }


@pytest.mark.parametrize(("fault", "reason"), [(Status(503), "trouble"), (HtmlError(), "broken")])
async def test_what_upstreams_fail_at_is_counted(server: Server, index: FakeIndex, fault: Fault, reason: str) -> None:
    watch = Watch(server, "upstream_failures_total", "requests_total")
    index.fault(fault, "/simple/*")
    answer = await server.get(PAGE)
    assert await watch.look() == {
        series("upstream_failures_total", what="page", reason=reason): 1,
        requests("simple-page", answer.status): 1,
    }


async def test_a_download_that_turns_out_wrong_is_counted_with_the_answer_it_broke(
    server: Server, index: FakeIndex
) -> None:
    index.add_built("demo-pkg", WHEEL)
    watch = Watch(server, "downloads_total", "broken_answers_total", "sent_bytes_total", "requests_total")
    gate = Gate(after=50_000)
    index.fault(WrongBytes(), "*.whl")
    index.fault(gate, "*.whl")
    async with server.open("GET", LINK) as response:
        assert response.status == 200
        gate.open()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    await until(server, lambda told: series("broken_answers_total", route="file") in told)
    assert await watch.look() == {
        series("downloads_total", result="broken"): 1,
        series("broken_answers_total", route="file"): 1,
        requests("file", 200, "miss"): 1,
    }


async def test_who_joins_a_fetch_under_way_is_counted(server: Server, index: FakeIndex) -> None:
    index.add_built("demo-pkg", WHEEL)
    watch = Watch(server, "coalesced_requests_total")
    head, middle = Gate(after=None), Gate(after=50_000)
    index.fault(head, PAGE)
    index.fault(middle, "*.whl")
    joined = {what: series("coalesced_requests_total", what=what) for what in ("page", "file")}
    pages = [asyncio.create_task(server.page(PAGE)) for _ in range(3)]
    await until(server, lambda told: told[joined["page"]] == 2)
    head.open()
    await asyncio.gather(*pages)
    files = [asyncio.create_task(server.get(LINK)) for _ in range(4)]
    await until(server, lambda told: told[joined["file"]] == 3)
    middle.open()
    assert [(await each).body for each in files] == [WHEEL.data] * 4
    assert await watch.look() == {
        joined["page"]: 2,
        joined["file"]: 3,
    }


async def test_uploads_are_counted_when_they_exist(make_server: MakeServer) -> None:
    server = await make_server(IDENTICAL)
    watch = Watch(server, "uploads_total", "uploaded_bytes_total")
    other = build_wheel("own", "2.0")
    await publish(server, OWN, other)
    await publish(server, OWN)  # the same again, which is no new file
    assert (await upload(server, replace(OWN, data=b"no wheel"))).status == 400
    assert await watch.look() == {
        series("uploads_total"): 2,
        series("uploaded_bytes_total"): len(OWN.data) + len(other.data),
    }


async def test_deletions_are_counted_when_something_went(make_server: MakeServer) -> None:
    server = await make_server(CONFIG)
    watch = Watch(server, "deletions_total")
    await publish_into(server, TOOLS, OWN, build_wheel("own", "2.0"))
    packages = [f"{TOOLS}/{package.id}" for package in packages_of(await server.get(TOOLS))]
    (file,) = files_of(await server.get(f"{packages[0]}/package_files"))
    for path in (f"{packages[0]}/package_files/{file.id}", packages[1], *packages):
        await server.ask("DELETE", path, {"Private-Token": OWNER["PRIVATE_TOKEN"]})
    assert await watch.look() == {
        series("deletions_total", what="file"): 1,
        series("deletions_total", what="package"): 1,
    }


async def test_evictions_are_counted_with_their_bytes(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(f'[cache]\nmax_size = "50000B"\n{forwards_to(index)}')
    named = {f"demo_pkg-{number}.0.tar.gz": number.to_bytes(10_000, "big") for number in range(8)}
    for file in [index.add_file("demo-pkg", name, data) for name, data in named.items()]:
        assert (await server.get(f"/files/{file.sha256}/{file.filename}")).status == 200

    def agree(told: Told) -> bool:
        gone = 8 - kept_by(server.data_dir)["blobs"]
        bytes_gone = told[series("evicted_bytes_total", what="files")]
        return gone >= 4 and (told[series("evictions_total")], bytes_gone) == (gone, gone * 10_000)

    await until(server, agree)


async def test_the_figures_of_all_workers_add_up(make_server: MakeServer) -> None:
    alone = await make_server()
    await alone.close()
    board = make_board(processes=2)
    board.meters(1).add(UPLOADS.cell(), 3)
    async with Server(alone.config, board.meters(0)) as server:
        await publish(server, OWN)
        told = await scrape(server)
    assert (told[series("uploads_total")], told[series("workers")]) == (4, 2)


async def test_the_room_that_the_cache_takes_is_told(
    server: Server, index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_gauge, "MEASURE_EVERY", 0.0)
    index.add_built("demo-pkg", WHEEL)
    await server.get(LINK)
    room = series("cache_files_bytes")
    await until(server, lambda told: told[room] == len(WHEEL.data) + len(WHEEL.metadata))
    assert (await scrape(server))[series("cache_pages_bytes")] > 0


async def test_what_cannot_be_measured_is_left_out(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: CacheGauge) -> None:
        return None

    monkeypatch.setattr(CacheGauge, "read", fail)
    assert not {name for name, _ in await scrape(server)} & {series("cache_files_bytes")[0]}


async def test_the_manual_has_every_name_and_no_other(server: Server) -> None:
    text = (await server.get("/-/metrics")).body.decode()
    told = set(re.findall(r"^# TYPE pypi_sidecar_(\w+)", text, re.MULTILINE))
    named = set(re.findall(r"`(\w+)`", MANUAL.read_text()))
    assert told - named == set()
    assert {name for name in named if name.endswith(("_total", "_seconds", "_bytes"))} - told == set()


def test_who_is_never_asked_does_without_what_writes_the_answer() -> None:
    script = "import sys, proxy.cli; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_every_route_is_counted_as_something() -> None:
    app = build_app()
    kinds = {str(route): app[KINDS].get(route) for route in app.router.routes()}
    assert {route for route, kind in kinds.items() if kind in {None, Route.OTHER}} == set()
    assert {kind for kind in kinds.values() if kind} == set(Route) - {Route.OTHER}


async def test_anybody_reads_it_and_learns_no_name(make_server: MakeServer, index: FakeIndex) -> None:
    config = CONFIG.replace("id = 1\n", 'id = 1\nupstreams = ["internal"]\n', 1)
    server = await make_server(f'[access]\nanonymous = "none"\n{config}{forwards_to(index, "internal")}')
    await publish_into(server, TOOLS, OWN)
    await server.get("/simple/own/", **OWNER)
    await server.get(PAGE, **OWNER)
    assert index.count("GET", PAGE) == 1
    text = (await server.get("/-/metrics")).body.decode()
    names = ["own", "demo", "acme", "tools", "owner", "internal", "127.0.0.1", str(server.data_dir)]
    assert [name for name in names if re.search(rf"\b{re.escape(name)}\b", text)] == []


def test_no_label_has_room_for_a_name() -> None:
    """What labels there can be is known before anything is served."""
    assert {label for family in LAYOUT.families for label in family.labels} == {
        "route",
        "status",
        "source",
        "what",
        "reason",
        "result",
    }
