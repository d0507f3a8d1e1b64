"""Laws of freshness: time only ever takes from a page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import assert_never

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from proxy.core.freshness import (
    OLD_COPIES_LAST,
    CacheRules,
    Fetch,
    Fresh,
    Plan,
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

# Both ends of the scale: seconds, where limits meet each other, and durations that mean "for ever".
durations = st.one_of(
    st.integers(0, 60).map(lambda seconds: timedelta(seconds=seconds)),
    st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4_000_000)),
)
start = datetime(2026, 1, 15, 12, tzinfo=UTC)
moments = st.one_of(
    st.integers(0, 240).map(lambda seconds: start + timedelta(seconds=seconds)),
    st.datetimes(timezones=st.just(UTC)),
)
rules = st.builds(CacheRules, durations, durations, durations, durations, st.booleans())
troubles = st.one_of(st.none(), st.just("pypi does not answer"))
entries = st.builds(
    lambda status, checked: PageEntry(
        "pypi", ProjectDetail(ProjectName("requests"), status=ProjectStatus(status)), Validators(), checked
    ),
    st.sampled_from(Status),
    moments,
)


def staleness(plan: Plan) -> int:
    """How far the page has come on its way from fresh to unusable."""
    match plan:
        case Fresh():
            return 0
        case Stale() | Revalidate(serve_meanwhile=True):
            return 1
        case Revalidate():
            return 2
        case Fetch() | Unavailable():
            return 3
    assert_never(plan)


@given(entries, rules, moments, moments, troubles)
def test_a_page_only_ever_gets_staler(
    entry: PageEntry, rules: CacheRules, one: datetime, other: datetime, trouble: str | None
) -> None:
    earlier, later = sorted((one, other))
    assume(entry.checked_at <= earlier)
    before = before_request(entry, rules, earlier, trouble=trouble)
    after = before_request(entry, rules, later, trouble=trouble)
    assert staleness(before) <= staleness(after)
    if isinstance(before, Fresh) and isinstance(after, Fresh) and before.ttl is not None:
        assert after.ttl == before.ttl - (later - earlier)


@given(entries, rules, moments, moments)
def test_what_is_too_old_to_stand_in_stays_so(
    entry: PageEntry, rules: CacheRules, one: datetime, other: datetime
) -> None:
    earlier, later = sorted((one, other))
    assert usable_on_error(entry, rules, earlier) or not usable_on_error(entry, rules, later)


@given(entries, rules, moments)
def test_trouble_changes_nothing_while_a_page_is_fresh_and_forbids_asking_afterwards(
    entry: PageEntry, rules: CacheRules, now: datetime
) -> None:
    calm = before_request(entry, rules, now)
    troubled = before_request(entry, rules, now, trouble="pypi does not answer")
    if isinstance(calm, Fresh):
        assert troubled == calm
    else:
        assert isinstance(troubled, Stale) == usable_on_error(entry, rules, now)
        assert isinstance(troubled, Stale | Unavailable)


@given(st.one_of(st.none(), entries), rules, moments, troubles)
def test_a_page_at_hand_is_the_page_that_is_served(
    entry: PageEntry | None, rules: CacheRules, now: datetime, trouble: str | None
) -> None:
    plan = before_request(entry, rules, now, trouble=trouble)
    if isinstance(plan, Fresh | Revalidate | Stale):
        assert plan.entry is entry
    if isinstance(plan, Fresh) and plan.ttl is not None:
        assert plan.ttl > timedelta(0)
    if isinstance(plan, Fetch):
        assert entry is None
    if rules.offline:
        assert isinstance(plan, Fresh) == (entry is not None)


@given(entries, rules, moments, durations)
def test_a_page_confirmed_later_is_never_staler(
    entry: PageEntry, rules: CacheRules, now: datetime, gained: timedelta
) -> None:
    earlier = PageEntry(entry.upstream, entry.detail, entry.validators, start)
    later = PageEntry(entry.upstream, entry.detail, entry.validators, start + gained % timedelta(days=365))
    assume(later.checked_at <= now)
    assert staleness(before_request(later, rules, now)) <= staleness(before_request(earlier, rules, now))


@given(entries, rules, moments, troubles)
def test_no_page_is_fresh_for_longer_than_its_ttl(
    entry: PageEntry, rules: CacheRules, now: datetime, trouble: str | None
) -> None:
    plan = before_request(entry, rules, now, trouble=trouble)
    if isinstance(plan, Fresh) and plan.ttl is not None:
        assert plan.ttl <= max(rules.page_ttl, rules.negative_ttl)
        assert entry.checked_at <= now


@given(entries, rules, moments, moments, st.integers(0, 5), st.none() | st.integers(0, 5))
def test_an_old_copy_is_refused_while_the_page_at_hand_stands_in_and_not_for_ever(
    entry: PageEntry, rules: CacheRules, one: datetime, other: datetime, held: int, told: int | None
) -> None:
    entry = replace(entry, serial=held)
    earlier, later = sorted((one, other))
    assume(entry.checked_at <= earlier)
    refused = is_old_copy(entry, told, rules, later)
    if refused:
        assert usable_on_error(entry, rules, later)
        assert is_old_copy(entry, told, rules, earlier)
        assert age_beyond(entry, rules, later) <= OLD_COPIES_LAST
    if told is None or told >= held:
        assert not refused
