"""What is known of the trouble with upstreams: whether one is to be asked just now, and how long to wait for it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from cachetools import LRUCache

from proxy.core.errors import UpstreamBroken

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.core.errors import UpstreamTrouble
    from proxy.services.cached_pages import PageKey

    _Subject: TypeAlias = str | PageKey

PAUSE = timedelta(seconds=5)
"""How long an upstream is left alone after a failure where a page is at hand."""
MAX_TROUBLES = 10_000


class Patience(NamedTuple):
    """For how many seconds a client that has a page at hand waits for a newer one.

    An index in health answers within one, and a lost packet of the handshake costs one more: `calm` leaves room for
    both. An index that is known to be in trouble gets the time that a healthy one needs.
    """

    calm: float = 3.0
    in_trouble: float = 1.0


PATIENCE = Patience()


class Trouble(NamedTuple):
    """Why the upstream did not answer for a page at `since`, and for how long it is left alone after that."""

    page: PageKey
    why: str
    since: datetime
    pause: timedelta

    def left(self, now: datetime) -> timedelta:
        """How much of the pause is to come; none of it where the clock was set back."""
        return self.since + self.pause - now if now >= self.since else timedelta(0)


class Troubles:
    """The last failures, until the upstream answers: a broken page speaks for itself, anything else for all pages."""

    def __init__(self) -> None:
        self._known: LRUCache[_Subject, Trouble] = LRUCache(MAX_TROUBLES)

    def note(self, key: PageKey, error: UpstreamTrouble, now: datetime) -> None:
        """Leave the upstream alone for a while, or for as long as it asks for.

        A page that fails again and again is left alone by itself, or it would keep all others from being asked for.
        """
        again = error.retry_after is None and self._is_told_by(key)
        subject = key if again or isinstance(error, UpstreamBroken) else key.upstream
        pause = max(PAUSE, timedelta(seconds=error.retry_after or 0))
        self._known[subject] = Trouble(key, error.message, now, pause)

    def note_slow(self, key: PageKey, now: datetime) -> None:
        """Nobody waited to the end: until that comes, other pages at hand are served without asking, for one pause.

        A page that hangs again is left alone by itself, or it would keep all others from ever being asked for.
        """
        subject = key if self.expected(key) else key.upstream
        self._known[subject] = Trouble(key, f"the upstream {key.upstream} is slow to send {key.name}", now, PAUSE)

    def end(self, key: PageKey) -> None:
        """The upstream answered."""
        self._known.pop(key.upstream, None)
        self._known.pop(key, None)

    def expected(self, key: PageKey) -> bool:
        """Whether the last that was heard of the upstream, or of this page of it, was trouble."""
        return key.upstream in self._known or key in self._known

    def _is_told_by(self, key: PageKey) -> bool:
        """Whether it was this page by which the upstream is known to be in trouble."""
        trouble = self._known.get(key.upstream)
        return trouble is not None and trouble.page == key

    def find_pause(self, key: PageKey, now: datetime) -> Trouble | None:
        """The trouble because of which it is not to be asked just now."""
        for subject in (key.upstream, key):
            trouble = self._known.get(subject)
            if trouble is not None and trouble.left(now) > timedelta(0):
                return trouble
        return None
