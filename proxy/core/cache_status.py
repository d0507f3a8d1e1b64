"""The `Cache-Status` of an answer (RFC 9211): where its bytes came from."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import timedelta


class Source(StrEnum):
    """For logs and counters: one word an answer."""

    LOCAL = "local"
    HIT = "hit"
    MISS = "miss"
    REVALIDATED = "revalidated"
    STALE = "stale"


class CacheStatus(NamedTuple):
    source: Source
    parameters: str

    @property
    def header(self) -> str:
        return f"pypi-sidecar; {self.parameters}"


LOCAL = CacheStatus(Source.LOCAL, "detail=local")
HIT = CacheStatus(Source.HIT, "hit")
STORED = CacheStatus(Source.MISS, "fwd=miss; stored")
PASSED = CacheStatus(Source.MISS, "fwd=miss")
"""Relayed and not kept."""
FOLLOWED = CacheStatus(Source.MISS, "fwd=miss; collapsed")
"""Read from a download that another request began."""
ABSENT = CacheStatus(Source.HIT, "hit; detail=negative")


def fresh(ttl: timedelta | None) -> CacheStatus:
    """A page within its freshness; `ttl` None while the instance is offline."""
    return CacheStatus(Source.HIT, "hit; detail=offline" if ttl is None else f"hit; ttl={_seconds(ttl)}")


def revalidated(*, stored: bool) -> CacheStatus:
    """An expired page that was asked for again: unchanged, or replaced (`stored`)."""
    return CacheStatus(Source.REVALIDATED, "fwd=stale; stored" if stored else "fwd=stale")


def stale(beyond: timedelta, why: str) -> CacheStatus:
    """An expired page that stands in; `why` is `stale-if-error` or `stale-while-revalidate`."""
    return CacheStatus(Source.STALE, f"hit; ttl=-{_seconds(beyond)}; detail={why}")


def source_of(header: str) -> Source:
    """The source that a header of ours tells of."""
    if "detail=local" in header:
        return Source.LOCAL
    if "fwd=" in header:
        return Source.REVALIDATED if "fwd=stale" in header else Source.MISS
    return Source.STALE if "ttl=-" in header else Source.HIT


def _seconds(duration: timedelta) -> int:
    return max(0, int(duration.total_seconds()))
