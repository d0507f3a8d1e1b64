"""Freshness of cached pages, as values: what to do for a page before anyone is asked (RFC 9111, RFC 5861).

A page is fresh for `page_ttl`, then stale; a project that its index has quarantined is asked for again sooner. A page
that was confirmed in the future, before the clock was set back, counts as just expired: nobody knows how old it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from proxy.core.model import Status

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.core.model import PageEntry

OLD_COPIES_LAST = timedelta(days=1)
"""How long a network of caches may hand out a page from before the last change: PyPI's has leave for a day."""


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


def is_old_copy(entry: PageEntry, serial: int | None, rules: CacheRules, now: datetime) -> bool:
    """Whether a page with this serial, sent in place of `entry`, is a copy from before and not to be believed.

    An index that goes on telling the lower serial for longer than copies last means it: it was restored, or is another
    one under the same address. So does one whose page at hand is too old to stand in.
    """
    if serial is None or entry.serial is None or serial >= entry.serial:
        return False
    return age_beyond(entry, rules, now) <= min(OLD_COPIES_LAST, rules.stale_if_error)


def age_beyond(entry: PageEntry, rules: CacheRules, now: datetime) -> timedelta:
    """By how much the page is past its freshness (for `Cache-Status: ttl=-N`); negative while it is fresh."""
    if now < entry.checked_at:
        return timedelta(0)
    quarantined = entry.detail.status.status is Status.QUARANTINED
    return now - entry.checked_at - (rules.negative_ttl if quarantined else rules.page_ttl)
