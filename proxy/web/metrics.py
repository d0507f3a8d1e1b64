"""What was counted, as text that Prometheus reads.

Imported when somebody first asks: prometheus-client brings HTTP servers of its own along, 1.5 MB that most never need.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from proxy import __version__
from proxy.core.cache_status import Source
from proxy.core.cells import SECONDS, SUM, Kind
from proxy.core.metrics import LAYOUT, REQUESTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prometheus_client import Metric

    from proxy.core.cells import Family
    from proxy.ports import CacheSize
    from proxy.services.meters import Board

CONTENT_TYPE: Final[str] = CONTENT_TYPE_PLAIN_0_0_4
_PREFIX: Final = "pypi_sidecar_"
_BOUNDS: Final = (*map(floatToGoString, SECONDS), "+Inf")
_BY_SOURCE: Final[Mapping[str, tuple[str, str]]] = {
    Source.HIT: ("cache_hits", "Answers out of the cache."),
    Source.MISS: ("cache_misses", "Answers that were not in the cache."),
    Source.REVALIDATED: ("cache_revalidations", "Answers with an expired page that an upstream was asked about."),
    Source.STALE: ("stale_answers", "Answers with an expired page that stood in for a newer one."),
}


def as_text(board: Board, cache: CacheSize | None) -> bytes:
    """The figures of all processes, and the room that the cache takes where it can be told, as `CONTENT_TYPE`."""
    return generate_latest(_Figures(board, cache))


class _Figures(Collector):
    """What there is to tell at one moment."""

    def __init__(self, board: Board, cache: CacheSize | None) -> None:
        self._board = board
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        cells = self._board.read()
        for family in LAYOUT.families:
            yield _of_cells(family, cells)
        yield from _by_source(cells)
        yield _gauge("build_info", "The version that runs.", 1, version=__version__)
        yield _gauge("workers", "Processes that answer.", self._board.processes)
        yield _gauge("start_time_seconds", "When the server started, since 1970.", self._board.started_at)
        if self._cache is not None:
            yield _gauge("cache_files_bytes", "Bytes of cached files.", self._cache.blobs)
            yield _gauge("cache_pages_bytes", "Bytes of cached pages, as they are stored.", self._cache.pages)


def _of_cells(family: Family, cells: Sequence[float]) -> Metric:
    name, labels = _PREFIX + family.name, tuple(family.labels)
    rows = [(values, cells[first : first + family.row]) for values, first in family.rows]
    told = [(values, row) for values, row in rows if not family.sparse or any(row)]
    if family.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(name, family.about, labels=labels)
        for values, row in told:
            histogram.add_metric(values, _buckets(row), row[SUM])
        return histogram
    kind = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    metric = kind(name, family.about, labels=labels)
    for values, row in told:
        metric.add_metric(values, row[0])
    return metric


def _buckets(row: Sequence[float]) -> list[tuple[str, float]]:
    """Each bound with how many came within it; their number comes from here too, so that both agree at any moment."""
    return list(zip(_BOUNDS, accumulate(row[:SUM]), strict=True))


def _by_source(cells: Sequence[float]) -> Iterator[Metric]:
    totals = dict.fromkeys(_BY_SOURCE, 0.0)
    for (_, _, source), cell in REQUESTS.rows:
        if source in totals:
            totals[source] += cells[cell]
    for source, (name, about) in _BY_SOURCE.items():
        yield CounterMetricFamily(_PREFIX + name, about, totals[source])


def _gauge(name: str, about: str, value: float, **labels: str) -> Metric:
    """What is not counted in cells."""
    gauge = GaugeMetricFamily(_PREFIX + name, about, labels=tuple(labels))
    gauge.add_metric(tuple(labels.values()), value)
    return gauge
