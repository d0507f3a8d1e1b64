"""`Retry-After`: when a server that is in trouble wants to be asked again (RFC 9110 section 10.2.3)."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

MAX_WAIT = 60.0
"""Seconds; a server that asks for more is asked once a minute: a wrong answer must not put it out of use for a day."""


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from `now`, 0 to MAX_WAIT; None where the header is absent or makes no sense."""
    text = (value or "").strip()
    seconds = float(text) if text.isascii() and text.isdigit() else _seconds_until(text, now)
    return None if seconds is None else min(max(seconds, 0.0), MAX_WAIT)


def _seconds_until(date: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp()
