"""What an answer stands on, and whether it still does: the same question then has the same answer.

An answer is worked out by the decision, with rows and pages that may have to be waited for. Its grounds name the state
that it was worked out from; to look whether that has changed waits for nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.core import cache_status
from proxy.core.policy import policy_time
from proxy.services.local_memory import MAX_AGE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from proxy.core.cache_status import CacheStatus
    from proxy.ports import Clock
    from proxy.services.cached_pages import CachedPage, PageKey
    from proxy.services.local_memory import LocalRows
    from proxy.services.upstream_pages import UpstreamPages


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


class Recall:
    def __init__(
        self, rows: LocalRows, pages: UpstreamPages, clock: Clock, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._rows = rows
        self._pages = pages
        self._clock = clock
        self._timer = timer

    def find_status(self, grounds: Grounds) -> CacheStatus | None:
        """The `Cache-Status` of a page that stands on these grounds, None where it no longer does."""
        if self._timer() - grounds.since >= MAX_AGE or self._rows.generation() != grounds.generation:
            return None
        now = self._clock.now()
        if grounds.minute is not None and grounds.minute != policy_time(now):
            return None
        if not all(self._pages.is_absent(key, now) for key in grounds.absent):
            return None
        return cache_status.LOCAL if grounds.page is None else self._pages.find_fresh(*grounds.page, now)
