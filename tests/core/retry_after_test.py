from __future__ import annotations

from datetime import UTC, datetime

import pytest

from proxy.core.retry_after import MAX_WAIT, parse_retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30),
        ("Sun, 01 Mar 2026 14:00:30 +0200", 30),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30),
        ("Sun Mar  1 12:00:30 2026", 30),
    ],
)
def test_it_is_given_in_seconds_or_as_a_date(value: str, seconds: float) -> None:
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize("value", ["61", "9" * 400, "Mon, 01 Mar 2027 12:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_no_server_is_left_alone_for_longer_than_the_bound(value: str) -> None:
    assert parse_retry_after(value, NOW) == MAX_WAIT


def test_a_date_that_is_over_means_now() -> None:
    assert parse_retry_after("Sun, 01 Mar 2026 11:59:00 GMT", NOW) == 0


@pytest.mark.parametrize(
    "value",
    [None, "", "soon", "-1", "1.5", "1e3", "٣", "Sun, 99 Mar 2026 12:00:30 GMT", "Sun, 01 Mar 99999 12:00:30 GMT"],
)
def test_what_makes_no_sense_says_nothing(value: str | None) -> None:
    assert parse_retry_after(value, NOW) is None
