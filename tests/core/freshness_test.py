from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from proxy.core.freshness import (
    OLD_COPIES_LAST,
    CacheRules,
    Fetch,
    Fresh,
    Revalidate,
    Stale,
    Unavailable,
    age_beyond,
    before_request,
    is_old_copy,
    usable_on_error,
)
from proxy.core.model import PageEntry, ProjectDetail, ProjectStatus, Status, Validators
from proxy.core.names import ProjectName

CHECKED = datetime(2026, 1, 15, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RULES = CacheRules(
    page_ttl=timedelta(minutes=10), negative_ttl=timedelta(minutes=1), stale_if_error=timedelta(hours=1)
)
EXPIRES = CHECKED + RULES.page_ttl
GIVEN_UP = EXPIRES + RULES.stale_if_error
TROUBLE = "pypi does not answer"


def page(status: Status = Status.ACTIVE) -> PageEntry:
    detail = ProjectDetail(ProjectName("requests"), status=ProjectStatus(status))
    return PageEntry("pypi", detail, Validators(etag='"1"'), CHECKED)


ENTRY = page()


def test_the_defaults_are_the_documented_ones() -> None:
    assert CacheRules() == CacheRules(
        page_ttl=timedelta(minutes=10),
        negative_ttl=timedelta(minutes=1),
        stale_while_revalidate=timedelta(0),
        stale_if_error=timedelta(days=30),
        offline=False,
    )


def test_a_page_never_seen_is_fetched() -> None:
    assert before_request(None, RULES, CHECKED) == Fetch()


def test_a_page_never_seen_is_unavailable_while_nobody_may_be_asked() -> None:
    assert before_request(None, RULES, CHECKED, trouble=TROUBLE) == Unavailable(TROUBLE)


@pytest.mark.parametrize("trouble", [None, TROUBLE])
def test_a_fresh_page_is_served_and_says_for_how_long(trouble: str | None) -> None:
    assert before_request(ENTRY, RULES, CHECKED, trouble=trouble) == Fresh(ENTRY, RULES.page_ttl)
    assert before_request(ENTRY, RULES, EXPIRES - SECOND, trouble=trouble) == Fresh(ENTRY, SECOND)


def test_an_expired_page_is_revalidated_before_it_is_served() -> None:
    for now in (EXPIRES, EXPIRES + SECOND, GIVEN_UP + timedelta(days=365)):
        assert before_request(ENTRY, RULES, now) == Revalidate(ENTRY, serve_meanwhile=False)


def test_nothing_is_fresh_without_a_ttl() -> None:
    rules = CacheRules(page_ttl=timedelta(0))
    assert before_request(ENTRY, rules, CHECKED) == Revalidate(ENTRY, serve_meanwhile=False)


@pytest.mark.parametrize(
    ("now", "serve_meanwhile"),
    [(EXPIRES, True), (EXPIRES + 29 * SECOND, True), (EXPIRES + 30 * SECOND, False), (GIVEN_UP, False)],
)
def test_a_page_is_served_while_it_is_revalidated_for_as_long_as_the_config_allows(
    now: datetime, *, serve_meanwhile: bool
) -> None:
    rules = CacheRules(stale_while_revalidate=30 * SECOND)
    assert before_request(ENTRY, rules, now) == Revalidate(ENTRY, serve_meanwhile)


@pytest.mark.parametrize("now", [EXPIRES, EXPIRES + SECOND, GIVEN_UP])
def test_an_expired_page_stands_in_while_the_upstream_is_in_trouble(now: datetime) -> None:
    assert before_request(ENTRY, RULES, now, trouble=TROUBLE) == Stale(ENTRY)
    assert usable_on_error(ENTRY, RULES, now)


def test_a_page_that_is_too_old_does_not_stand_in() -> None:
    now = GIVEN_UP + SECOND
    assert before_request(ENTRY, RULES, now, trouble=TROUBLE) == Unavailable(TROUBLE)
    assert not usable_on_error(ENTRY, RULES, now)


def test_offline_pages_never_expire() -> None:
    offline = CacheRules(offline=True)
    assert before_request(ENTRY, offline, GIVEN_UP + timedelta(days=3650)) == Fresh(ENTRY, None)


def test_offline_nobody_is_asked() -> None:
    plan = before_request(None, CacheRules(offline=True), CHECKED)
    assert isinstance(plan, Unavailable)
    assert "offline" in plan.why


def test_a_quarantine_is_believed_as_long_as_an_absence() -> None:
    quarantined = page(Status.QUARANTINED)
    over = CHECKED + RULES.negative_ttl
    assert before_request(quarantined, RULES, over - SECOND) == Fresh(quarantined, SECOND)
    assert before_request(quarantined, RULES, over) == Revalidate(quarantined, serve_meanwhile=False)


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.ARCHIVED, Status.DEPRECATED])
def test_other_states_are_pages_like_any_other(status: Status) -> None:
    entry = page(status)
    assert before_request(entry, RULES, EXPIRES - SECOND) == Fresh(entry, SECOND)


def test_the_age_counts_from_the_end_of_freshness() -> None:
    assert age_beyond(ENTRY, RULES, EXPIRES + 90 * SECOND) == 90 * SECOND
    assert age_beyond(ENTRY, RULES, EXPIRES - SECOND) == -SECOND


def test_for_ever_is_a_duration_too() -> None:
    for_ever = CacheRules(page_ttl=timedelta(days=4_000_000), stale_if_error=timedelta(days=4_000_000))
    assert before_request(ENTRY, for_ever, CHECKED) == Fresh(ENTRY, for_ever.page_ttl)
    assert usable_on_error(ENTRY, for_ever, datetime.max.replace(tzinfo=UTC))


@pytest.mark.parametrize("ahead", [timedelta(microseconds=1), RULES.page_ttl, timedelta(days=365)])
def test_a_page_from_the_future_has_just_expired(ahead: timedelta) -> None:
    now = CHECKED - ahead
    assert before_request(ENTRY, RULES, now) == Revalidate(ENTRY, serve_meanwhile=False)
    assert before_request(ENTRY, RULES, now, trouble=TROUBLE) == Stale(ENTRY)
    assert age_beyond(ENTRY, RULES, now) == timedelta(0)


class TestOldCopies:
    RULES = CacheRules()
    EXPIRES = CHECKED + RULES.page_ttl

    def is_old(self, serial: int | None, now: datetime = EXPIRES, rules: CacheRules = RULES) -> bool:
        return is_old_copy(structs.replace(ENTRY, serial=7), serial, rules, now)

    def test_a_lower_serial_is_one(self) -> None:
        assert self.is_old(6)
        assert self.is_old(0)

    @pytest.mark.parametrize("serial", [7, 8, None])
    def test_an_equal_or_higher_or_absent_one_is_none(self, serial: int | None) -> None:
        assert not self.is_old(serial)

    def test_where_the_page_at_hand_has_no_serial_there_is_nothing_to_compare(self) -> None:
        assert not is_old_copy(ENTRY, 0, self.RULES, self.EXPIRES)

    def test_a_serial_that_stays_low_for_longer_than_copies_last_is_believed(self) -> None:
        assert self.is_old(6, self.EXPIRES + OLD_COPIES_LAST)
        assert not self.is_old(6, self.EXPIRES + OLD_COPIES_LAST + SECOND)

    def test_a_page_that_may_not_stand_in_has_nothing_to_say_against_it(self) -> None:
        rules = CacheRules(stale_if_error=timedelta(hours=1))
        assert self.is_old(6, self.EXPIRES + timedelta(hours=1), rules)
        assert not self.is_old(6, self.EXPIRES + timedelta(hours=1, seconds=1), rules)
