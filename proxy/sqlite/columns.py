"""Values as columns: instants as microseconds since 1970-01-01T00:00Z, exactly; sets of ids as a JSON array."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def from_instant(instant: datetime) -> int:
    """The column's value; raises TypeError for a naive datetime."""
    return (instant - _EPOCH) // _MICROSECOND


def to_instant(column: int) -> datetime:
    return _EPOCH + column * _MICROSECOND


def from_ids(ids: Iterable[int]) -> str:
    """For `IN (SELECT value FROM json_each(?))`: one parameter and one prepared statement for any number of ids."""
    return json.dumps([*ids])
