"""`/-/metrics`: what was counted, as text that Prometheus reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web
from prometheus_client import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from proxy import __version__
from proxy.core.cache_status import Source
from proxy.core.cells import SECONDS, SUM, Kind
from proxy.core.metrics import LAYOUT, REQUESTS
from proxy.web.site import SITE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.core.cells import Family
    from proxy.ports import CacheSize
    from proxy.services.meters import Board

_PREFIX: Final = "pypi_sidecar_"
_HEADERS: Final = {"Cache-Control": "no-store", "Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
_BOUNDS: Final = (*map(floatToGoString, SECONDS), "+Inf")
_BY_SOURCE: Final = {
    Source.HIT: ("cache_hits", "Answers out of the cache."),
    Source.MISS: ("cache_misses", "Answers that were not in the cache."),
    Source.REVALIDATED: ("cache_revalidations", "Answers with an expired page that an upstream was asked about."),
    Source.STALE: ("stale_answers", "Answers with an expired page that stood in for a newer one."),
}


async def metrics(request: web.Request) -> web.StreamResponse:
    """The figures of all processes of this server."""
    site = request[SITE]
    text = generate_latest(_Figures(site.meters.board, await site.cache_gauge.read()))
    return web.Response(body=text, headers=_HEADERS)


class _Figures(Collector):
    """What there is to tell at one moment; `cache` None: it cannot be measured now."""

    def __init__(self, board: Board, cache: CacheSize | None) -> None:
        self._board = board
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        cells = self._board.read()
        for family in LAYOUT.families:
            yield _metric(family, cells)
        for source, (name, about) in _BY_SOURCE.items():
            total = sum(cells[cell] for (_, _, origin), cell in REQUESTS.rows() if origin == source)
            yield _counter(name, about, total)
        yield _gauge("build_info", "The version that runs.", 1, version=__version__)
        yield _gauge("workers", "Processes that answer.", self._board.processes)
        yield _gauge("start_time_seconds", "When the server started, since 1970.", self._board.started_at)
        if self._cache is not None:
            yield _gauge("cache_files_bytes", "Cached files.", self._cache.blobs)
            yield _gauge("cache_pages_bytes", "Cached pages, as they are stored.", self._cache.pages)


def _metric(family: Family, cells: Sequence[float]) -> Metric:
    metric = Metric(_PREFIX + family.name, family.about, family.kind)
    for values, first in family.rows():
        row = cells[first : first + family.row]
        if family.sparse and not any(row):
            continue
        labels = dict(zip(family.labels, values, strict=True))
        if family.kind is Kind.HISTOGRAM:
            _add_histogram(metric, labels, row)
        else:
            _with(metric, labels, row[0])
    return metric


def _counter(name: str, about: str, value: float) -> Metric:
    return _with(Metric(_PREFIX + name, about, Kind.COUNTER), {}, value)


def _gauge(name: str, about: str, value: float, **labels: str) -> Metric:
    return _with(Metric(_PREFIX + name, about, Kind.GAUGE), labels, value)


def _with(metric: Metric, labels: dict[str, str], value: float) -> Metric:
    metric.add_sample(f"{metric.name}_total" if metric.type == Kind.COUNTER else metric.name, labels, value)
    return metric


def _add_histogram(metric: Metric, labels: dict[str, str], row: Sequence[float]) -> None:
    """The count is that of the buckets: it agrees with them, whoever counts at this moment."""
    count = 0.0
    for bound, more in zip(_BOUNDS, row, strict=False):
        count += more
        metric.add_sample(f"{metric.name}_bucket", {**labels, "le": bound}, count)
    metric.add_sample(f"{metric.name}_sum", labels, row[SUM])
    metric.add_sample(f"{metric.name}_count", labels, count)
