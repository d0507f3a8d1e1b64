"""What an answer stands on, and whether it still does: the same question then has the same answer.

An answer is worked out by the decision, with rows and pages that may have to be waited for. Its grounds name the state
that it was worked out from; to look whether that has changed waits for nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from proxy.core import cache_status
from proxy.core.policy import policy_time
from proxy.services.local_memory import MAX_AGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.core.cache_status import CacheStatus
    from proxy.ports import Clock
    from proxy.services.cached_pages import CachedPage, PageKey
    from proxy.services.local_memory import LocalRows
    from proxy.services.upstream_pages import UpstreamPages

_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Grounds:
    """The local rows of `generation`, as they were looked at `since` (seconds of a clock that only goes forward).

    `page` is the upstream's page that counted, after the upstreams `absent` had said that they have none. `minute` is
    the time by which `min_age` judged, None where no rule asks for it.
    """

    generation: bytes
    since: float
    page: tuple[PageKey, CachedPage] | None = None
    absent: tuple[PageKey, ...] = ()
    minute: datetime | None = None


class Mark(NamedTuple):
    """Equal marks: nothing was published and no page has changed in between."""

    generation: bytes
    pages: int


class Stand(NamedTuple):
    """An answer still stands, with this `Cache-Status`: from now until then, as long as the mark stays."""

    cache_status: CacheStatus
    until: datetime


class Recall:
    """`timer` gives seconds of a clock that only goes forward."""

    def __init__(
        self, rows: LocalRows, pages: UpstreamPages, clock: Clock, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._rows = rows
        self._pages = pages
        self._timer = timer
        self.now = clock.now

    def mark(self) -> Mark:
        return Mark(self._rows.generation(), self._pages.changes)

    def is_marked(self, mark: Mark) -> bool:
        """Whether the mark is still this one."""
        return self._pages.changes == mark.pages and self._rows.generation() == mark.generation

    def find(self, grounds: Grounds, now: datetime) -> Stand | None:
        """Whether an answer stands on these grounds now; it is looked at again each second."""
        left = MAX_AGE - (self._timer() - grounds.since)
        if left <= 0 or self._rows.generation() != grounds.generation:
            return None
        if grounds.minute is not None and grounds.minute != policy_time(now):
            return None
        if not all(self._pages.is_absent(key, now) for key in grounds.absent):
            return None
        until = now if grounds.absent else min(now.replace(microsecond=0) + _SECOND, now + timedelta(seconds=left))
        if grounds.page is None:
            return Stand(cache_status.LOCAL, until)
        fresh = self._pages.find_fresh(*grounds.page, now)
        if fresh is None:
            return None
        if fresh.ttl is not None:  # told in whole seconds
            until = min(until, now + fresh.ttl % _SECOND)
        return Stand(cache_status.fresh(fresh.ttl), until)
