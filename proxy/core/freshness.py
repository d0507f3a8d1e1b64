"""Freshness of cached pages, as values: what to do for a page before anyone is asked (RFC 9111, RFC 5861).

A page is fresh for `page_ttl`, then stale; a project that its index has quarantined is asked for again sooner.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from proxy.core.model import Status

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.core.model import PageEntry


@dataclass(frozen=True, slots=True)
class CacheRules:
    """The `[cache]` settings that speak of time."""

    page_ttl: timedelta = timedelta(minutes=10)
    negative_ttl: timedelta = timedelta(minutes=1)
    stale_while_revalidate: timedelta = timedelta(0)
    stale_if_error: timedelta = timedelta(days=30)
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Fresh:
    """Serve it; `ttl` is how long it stays fresh (None: for ever, the instance is offline)."""

    entry: PageEntry
    ttl: timedelta | None


@dataclass(frozen=True, slots=True)
class Revalidate:
    """Ask the upstream whether it changed; `serve_meanwhile` allows the old one while asking."""

    entry: PageEntry
    serve_meanwhile: bool


@dataclass(frozen=True, slots=True)
class Stale:
    """The upstream is in trouble: serve the old one at once, do not ask."""

    entry: PageEntry


@dataclass(frozen=True, slots=True)
class Fetch:
    """Nothing usable is here."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nothing usable is here and nobody may be asked now."""

    why: str


Plan: TypeAlias = Fresh | Revalidate | Stale | Fetch | Unavailable


def before_request(entry: PageEntry | None, rules: CacheRules, now: datetime, *, trouble: str | None = None) -> Plan:
    """What to do for a page. `trouble` says why the upstream is not to be asked now, None where it may be."""
    if rules.offline:
        return Fresh(entry, None) if entry else Unavailable("this instance is offline and has not seen it")
    if entry is None:
        return Unavailable(trouble) if trouble else Fetch()
    age = age_beyond(entry, rules, now)
    if age < timedelta(0):
        return Fresh(entry, -age)
    if trouble:
        return Stale(entry) if usable_on_error(entry, rules, now) else Unavailable(trouble)
    return Revalidate(entry, serve_meanwhile=age < rules.stale_while_revalidate)


def usable_on_error(entry: PageEntry, rules: CacheRules, now: datetime) -> bool:
    """Whether an expired page may stand in for a failed request (`stale_if_error`, RFC 5861 section 4)."""
    return age_beyond(entry, rules, now) <= rules.stale_if_error


def age_beyond(entry: PageEntry, rules: CacheRules, now: datetime) -> timedelta:
    """By how much the page is past its freshness (for `Cache-Status: ttl=-N`); negative while it is fresh."""
    quarantined = entry.detail.status.status is Status.QUARANTINED
    return now - entry.checked_at - (rules.negative_ttl if quarantined else rules.page_ttl)
