"""`Cache-Status` as the contract words it (RFC 9211)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from proxy.core import cache_status
from proxy.core.cache_status import CacheStatus, Source

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("status", "source", "header"),
    [
        (cache_status.LOCAL, Source.LOCAL, "pypi-sidecar; detail=local"),
        (cache_status.HIT, Source.HIT, "pypi-sidecar; hit"),
        (cache_status.STORED, Source.MISS, "pypi-sidecar; fwd=miss; stored"),
        (cache_status.PASSED, Source.MISS, "pypi-sidecar; fwd=miss"),
        (cache_status.FOLLOWED, Source.MISS, "pypi-sidecar; fwd=miss; collapsed"),
        (cache_status.ABSENT, Source.HIT, "pypi-sidecar; hit; detail=negative"),
        (cache_status.fresh(376 * SECOND), Source.HIT, "pypi-sidecar; hit; ttl=376"),
        (cache_status.fresh(0.9 * SECOND), Source.HIT, "pypi-sidecar; hit; ttl=0"),
        (cache_status.fresh(None), Source.HIT, "pypi-sidecar; hit; detail=offline"),
        (cache_status.revalidated(stored=True), Source.REVALIDATED, "pypi-sidecar; fwd=stale; stored"),
        (cache_status.revalidated(stored=False), Source.REVALIDATED, "pypi-sidecar; fwd=stale"),
        (
            cache_status.stale(90 * SECOND, "stale-if-error"),
            Source.STALE,
            "pypi-sidecar; hit; ttl=-90; detail=stale-if-error",
        ),
    ],
)
def test_each_source_has_its_words(status: CacheStatus, source: Source, header: str) -> None:
    assert (status.source, status.header) == (source, header)
    assert cache_status.source_of(header) is source


def test_a_clock_that_went_back_makes_no_double_minus() -> None:
    assert cache_status.stale(-3 * SECOND, "stale-if-error").header == (
        "pypi-sidecar; hit; ttl=-0; detail=stale-if-error"
    )
    assert cache_status.fresh(-3 * SECOND).header == "pypi-sidecar; hit; ttl=0"
