"""The plan of cached pages, carried out: when the upstream is asked, what is kept, what stands in."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from proxy.core.cache_status import Source
from proxy.core.errors import UpstreamBroken, UpstreamTrouble
from proxy.core.freshness import CacheRules
from proxy.core.model import File, ProjectStatus, Status
from proxy.core.names import ProjectName
from proxy.services import cached_pages
from proxy.services.upstream_pages import Unfetched
from tests.builders import build_wheel
from tests.fakes.gate import Gate, settle, until
from tests.services.house import DEMO, SIX

if TYPE_CHECKING:
    from proxy.services.cached_pages import CachedPage
    from tests.services.house import House, MakeHouse

DOWN = UpstreamTrouble("the upstream pypi cannot be reached")
BROKEN = UpstreamBroken("the upstream pypi sent no page")
WHEEL = build_wheel("demo", "1.0")
NEXT = build_wheel("demo", "2.0")
TTL_MINUTES = 10  # of CacheRules() and of the documented defaults
STALE_DAYS = 30


@pytest.fixture(autouse=True)
def demo(house: House) -> File:
    """The upstream has one file of demo."""
    return house.pypi.add("demo", WHEEL)


async def ask(house: House, name: ProjectName = DEMO) -> tuple[list[str], str]:
    """The file names of a page that is there, and how it was come by."""
    seen = await house.upstream_pages.get("pypi", name)
    assert seen.page is not None
    return [file.filename for file in seen.page.files], seen.status.parameters


async def page_of(house: House, name: ProjectName = DEMO) -> CachedPage:
    page = (await house.upstream_pages.get("pypi", name)).page
    assert page is not None
    return page


class TestFreshness:
    async def test_a_page_is_fetched_once_and_then_fresh(self, house: House) -> None:
        assert await ask(house) == ([WHEEL.filename], "fwd=miss; stored")
        house.clock.advance(seconds=224)
        assert await ask(house) == ([WHEEL.filename], "hit; ttl=376")
        assert house.pypi.count() == 1

    async def test_what_changes_upstream_is_seen_when_the_page_expires(self, house: House) -> None:
        await ask(house)
        house.pypi.add("demo", NEXT)
        house.clock.advance(minutes=TTL_MINUTES, seconds=-1)
        assert await ask(house) == ([WHEEL.filename], "hit; ttl=1")
        house.clock.advance(seconds=1)
        assert await ask(house) == ([WHEEL.filename, NEXT.filename], "fwd=stale; stored")
        assert (await ask(house))[1] == "hit; ttl=600"

    async def test_an_unchanged_page_is_confirmed_with_its_validators(self, house: House) -> None:
        before = await page_of(house)
        house.clock.advance(minutes=TTL_MINUTES)
        seen = await house.upstream_pages.get("pypi", DEMO)
        assert seen.page is not None
        assert (seen.status.source, seen.status.parameters) == (Source.REVALIDATED, "fwd=stale")
        assert house.pypi.asked[-1].validators == before.entry.validators
        assert (await ask(house))[1] == "hit; ttl=600"
        assert house.store.pages["pypi", DEMO].checked_at == house.clock.now()
        assert seen.page.revision == before.revision, "what was rendered from it can be kept"

    async def test_a_page_without_validators_is_fetched_whole(self, house: House) -> None:
        house.pypi.pages[DEMO] = house.pypi.pages[DEMO]._replace(
            validators=structs.replace(house.pypi.pages[DEMO].validators, etag=None)
        )
        await ask(house)
        house.clock.advance(minutes=TTL_MINUTES)
        assert (await ask(house))[0] == [WHEEL.filename]

    async def test_other_contents_have_other_revisions(self, house: House) -> None:
        before = await page_of(house)
        house.pypi.add("demo", NEXT)
        house.clock.advance(minutes=TTL_MINUTES)
        assert (await page_of(house)).revision != before.revision

    async def test_names_and_upstreams_are_apart(self, house: House) -> None:
        house.pypi.add("six", build_wheel("six", "1.16"))
        assert (await ask(house, SIX))[0] == ["six-1.16-py3-none-any.whl"]
        assert (await ask(house))[0] == [WHEEL.filename]
        assert house.pypi.count("page") == 2

    async def test_an_expired_page_is_served_meanwhile_where_the_config_allows(self, make_house: MakeHouse) -> None:
        house = await make_house(rules=CacheRules(stale_while_revalidate=timedelta(minutes=1)))
        house.pypi.add("demo", WHEEL)
        await ask(house)
        house.pypi.add("demo", NEXT)
        gate = house.pypi.page_gate = Gate()
        house.clock.advance(minutes=TTL_MINUTES, seconds=59)
        for _ in range(3):
            assert await ask(house) == ([WHEEL.filename], "hit; ttl=-59; detail=stale-while-revalidate")
        await gate.waiting()
        gate.open()
        await until(lambda: len(house.store.pages["pypi", DEMO].detail.files) == 2)
        assert await ask(house) == ([WHEEL.filename, NEXT.filename], "hit; ttl=600")
        assert house.pypi.count() == 2

    async def test_past_that_time_it_is_waited_for(self, make_house: MakeHouse) -> None:
        house = await make_house(rules=CacheRules(stale_while_revalidate=timedelta(minutes=1)))
        house.pypi.add("demo", WHEEL)
        await ask(house)
        house.clock.advance(minutes=TTL_MINUTES + 1)
        assert (await ask(house))[1] == "fwd=stale"

    async def test_trouble_while_it_is_served_meanwhile_harms_nobody(self, make_house: MakeHouse) -> None:
        house = await make_house(rules=CacheRules(stale_while_revalidate=timedelta(minutes=1)))
        house.pypi.add("demo", WHEEL)
        await ask(house)
        house.clock.advance(minutes=TTL_MINUTES)
        house.pypi.trouble = DOWN
        assert (await ask(house))[1] == "hit; ttl=-0; detail=stale-while-revalidate"
        await until(lambda: house.pypi.count() == 2)
        await settle()
        assert (await ask(house))[1] == "hit; ttl=-0; detail=stale-if-error"


class TestCoalescing:
    async def test_a_hundred_callers_cause_one_request(self, house: House) -> None:
        gate = house.pypi.page_gate = Gate()
        callers = [asyncio.create_task(ask(house)) for _ in range(100)]
        await gate.waiting()
        gate.open()
        assert await asyncio.gather(*callers) == [([WHEEL.filename], "fwd=miss; stored")] * 100
        assert house.pypi.count() == 1

    async def test_a_caller_that_leaves_wastes_nothing(self, house: House) -> None:
        gate = house.pypi.page_gate = Gate()
        caller = asyncio.create_task(ask(house))
        await gate.waiting()
        caller.cancel()
        await settle()
        gate.open()
        await until(lambda: ("pypi", DEMO) in house.store.pages)
        assert (await ask(house))[1] == "hit; ttl=600"

    async def test_a_slow_page_holds_up_no_other(self, house: House) -> None:
        house.pypi.add("six", build_wheel("six", "1.16"))
        gate = house.pypi.page_gate = Gate()
        slow = asyncio.create_task(ask(house))
        await gate.waiting()
        house.pypi.page_gate = None
        assert (await ask(house, SIX))[1] == "fwd=miss; stored"
        gate.open()
        await slow

    async def test_closing_ends_what_is_under_way(self, house: House) -> None:
        gate = house.pypi.page_gate = Gate()
        caller = asyncio.create_task(ask(house))
        await gate.waiting()
        await house.upstream_pages.close()
        with pytest.raises(asyncio.CancelledError):
            await caller


class TestTrouble:
    async def expire(self, house: House, trouble: UpstreamTrouble) -> None:
        """The page is here, expired, and cannot be had again."""
        await ask(house)
        house.clock.advance(minutes=TTL_MINUTES)
        house.pypi.trouble = trouble

    @pytest.mark.parametrize("trouble", [DOWN, BROKEN])
    async def test_a_page_that_was_ever_cached_stands_in(self, house: House, trouble: UpstreamTrouble) -> None:
        await self.expire(house, trouble)
        house.clock.advance(seconds=90)
        seen = await house.upstream_pages.get("pypi", DEMO)
        assert seen.page is not None
        assert (seen.status.source, seen.status.parameters) == (Source.STALE, "hit; ttl=-90; detail=stale-if-error")

    async def test_it_stands_in_as_long_as_the_config_allows(self, house: House) -> None:
        await self.expire(house, DOWN)
        house.clock.advance(days=STALE_DAYS)
        assert (await ask(house))[1] == "hit; ttl=-2592000; detail=stale-if-error"
        house.clock.advance(seconds=1)
        with pytest.raises(UpstreamTrouble, match="cannot be reached"):
            await ask(house)
        house.clock.advance(seconds=5)
        with pytest.raises(UpstreamTrouble, match="cannot be reached"):
            await ask(house)

    async def test_the_upstream_is_left_alone_for_five_seconds(self, house: House) -> None:
        await self.expire(house, DOWN)
        await ask(house)
        house.clock.advance(seconds=4.999)
        await ask(house)
        assert house.pypi.count() == 2
        house.clock.advance(seconds=0.001)
        await ask(house)
        assert house.pypi.count() == 3

    async def test_then_it_is_asked_again_and_all_is_well(self, house: House) -> None:
        await self.expire(house, DOWN)
        await ask(house)
        house.pypi.trouble = None
        house.pypi.add("demo", NEXT)
        house.clock.advance(seconds=5)
        assert await ask(house) == ([WHEEL.filename, NEXT.filename], "fwd=stale; stored")

    async def test_one_failure_speaks_for_all_pages_of_the_upstream(self, house: House) -> None:
        house.pypi.add("six", build_wheel("six", "1.16"))
        await ask(house, SIX)
        await self.expire(house, DOWN)
        await ask(house)
        assert (await ask(house, SIX))[1] == "hit; ttl=-0; detail=stale-if-error"
        assert house.pypi.count("page", "six") == 1

    async def test_a_page_that_is_broken_speaks_for_itself_alone(self, house: House) -> None:
        house.pypi.add("six", build_wheel("six", "1.16"))
        await ask(house, SIX)
        await ask(house)
        house.clock.advance(minutes=TTL_MINUTES)
        house.pypi.broken_pages[DEMO] = BROKEN
        assert (await ask(house))[1] == "hit; ttl=-0; detail=stale-if-error"
        assert (await ask(house, SIX))[1] == "fwd=stale"
        await ask(house)
        assert house.pypi.count("page", "demo") == 2

    async def test_trouble_of_one_upstream_is_none_of_anothers(self, make_house: MakeHouse, house: House) -> None:
        other = type(house.pypi)("other")
        house = await make_house(upstreams=[house.pypi, other])
        other.add("demo", NEXT)
        for upstream in ("pypi", "other"):
            await house.upstream_pages.get(upstream, DEMO)
        house.clock.advance(minutes=TTL_MINUTES)
        house.pypi.trouble = DOWN
        await house.upstream_pages.get("pypi", DEMO)
        seen = await house.upstream_pages.get("other", DEMO)
        assert seen.status.parameters == "fwd=stale"

    async def test_a_fresh_page_knows_no_trouble(self, house: House) -> None:
        await ask(house)
        house.pypi.trouble = DOWN
        assert (await ask(house))[1] == "hit; ttl=600"

    async def test_a_name_never_seen_is_asked_for_each_time(self, house: House) -> None:
        house.pypi.trouble = DOWN
        for _ in range(2):
            with pytest.raises(UpstreamTrouble, match="cannot be reached"):
                await ask(house)
        house.pypi.trouble = None
        assert (await ask(house))[1] == "fwd=miss; stored"
        assert house.pypi.count() == 3

    async def test_a_failure_is_shared_by_all_who_wait(self, house: House) -> None:
        house.pypi.trouble = DOWN
        gate = house.pypi.page_gate = Gate()
        callers = [asyncio.create_task(ask(house)) for _ in range(10)]
        await gate.waiting()
        gate.open()
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {UpstreamTrouble}
        assert house.pypi.count() == 1

    async def test_no_bad_answer_replaces_a_good_one(self, house: House) -> None:
        await self.expire(house, BROKEN)
        kept = house.store.pages["pypi", DEMO]
        await ask(house)
        assert house.store.pages["pypi", DEMO] is kept
        house.pypi.trouble = None
        house.clock.advance(seconds=5)
        assert await ask(house) == ([WHEEL.filename], "fwd=stale")


class TestLast:
    """What decides about files: the last good page, however old, while the upstream is in trouble."""

    async def test_it_is_the_page_where_that_can_be_had(self, house: House) -> None:
        await house.upstream_pages.get_last("pypi", DEMO)
        house.pypi.add("demo", NEXT)
        house.clock.advance(minutes=TTL_MINUTES)
        seen = await house.upstream_pages.get_last("pypi", DEMO)
        assert seen.page is not None
        assert len(seen.page.files) == 2

    async def test_past_all_bounds_it_still_stands_in(self, house: House) -> None:
        await ask(house)
        house.pypi.trouble = DOWN
        house.clock.advance(days=STALE_DAYS + 1)
        with pytest.raises(UpstreamTrouble):
            await ask(house)
        seen = await house.upstream_pages.get_last("pypi", DEMO)
        assert seen.page is not None
        assert seen.status.source is Source.STALE

    async def test_an_absence_is_an_answer(self, house: House) -> None:
        await ask(house)
        house.pypi.remove("demo")
        house.clock.advance(minutes=TTL_MINUTES)
        assert (await house.upstream_pages.get_last("pypi", DEMO)).page is None
        house.pypi.trouble = DOWN
        house.clock.advance(minutes=1)
        with pytest.raises(UpstreamTrouble):
            await house.upstream_pages.get_last("pypi", DEMO)

    async def test_a_name_never_seen_has_none(self, house: House) -> None:
        house.pypi.trouble = DOWN
        with pytest.raises(UpstreamTrouble):
            await house.upstream_pages.get_last("pypi", DEMO)


class TestLook:
    """What is known of a page without fetching it."""

    async def test_one_never_seen_is_there_and_not_here(self, house: House) -> None:
        looks = [house.upstream_pages.look("pypi", DEMO) for _ in range(100)]
        assert {type(end) for end in await asyncio.gather(*looks, return_exceptions=True)} == {Unfetched}
        assert (house.pypi.count("head"), house.pypi.count()) == (1, 1), "one question for all"

    async def test_one_that_was_seen_is_the_page(self, house: House) -> None:
        seen = await house.upstream_pages.get("pypi", DEMO)
        assert (await house.upstream_pages.look("pypi", DEMO)).page == seen.page
        assert house.pypi.count("head") == 0

    async def test_an_absence_is_remembered(self, house: House) -> None:
        for _ in range(2):
            assert (await house.upstream_pages.look("pypi", SIX)).page is None
        assert (await house.upstream_pages.get("pypi", SIX)).page is None
        assert (house.pypi.count("head"), house.pypi.count()) == (1, 1)

    async def test_where_the_upstream_does_not_tell_the_page_is_fetched(self, house: House) -> None:
        house.pypi.heads = False
        assert (await house.upstream_pages.look("pypi", DEMO)).page is not None

    async def test_trouble_leaves_the_upstream_alone_where_a_page_is_at_hand(self, house: House) -> None:
        await house.upstream_pages.get("pypi", DEMO)
        house.clock.advance(minutes=TTL_MINUTES)
        house.pypi.trouble = DOWN
        with pytest.raises(UpstreamTrouble):
            await house.upstream_pages.look("pypi", SIX)
        assert (await house.upstream_pages.get("pypi", DEMO)).status.source is Source.STALE
        assert house.pypi.count("page") == 1


class TestAbsence:
    async def is_absent(self, house: House) -> str:
        seen = await house.upstream_pages.get("pypi", DEMO)
        assert seen.page is None
        return seen.status.parameters

    async def test_it_is_believed_for_a_minute(self, house: House) -> None:
        house.pypi.remove("demo")
        assert await self.is_absent(house) == "fwd=miss; stored"
        house.pypi.add("demo", WHEEL)
        house.clock.advance(seconds=59)
        assert await self.is_absent(house) == "hit; detail=negative"
        house.clock.advance(seconds=1)
        assert (await ask(house))[1] == "fwd=miss; stored"

    async def test_it_replaces_a_page(self, house: House) -> None:
        await ask(house)
        house.pypi.remove("demo")
        house.clock.advance(minutes=TTL_MINUTES)
        await self.is_absent(house)
        assert house.store.pages == {}
        house.pypi.trouble = DOWN
        house.clock.advance(minutes=1)
        with pytest.raises(UpstreamTrouble):
            await ask(house)

    async def test_a_quarantine_is_a_page_that_is_asked_for_again_as_soon(self, house: House) -> None:
        house.pypi.unlist("demo", *(await page_of(house)).files)
        house.pypi.list("demo", status=ProjectStatus(Status.QUARANTINED))
        house.clock.advance(minutes=TTL_MINUTES)
        assert await ask(house) == ([], "fwd=stale; stored")
        assert (await ask(house))[1] == "hit; ttl=60"
        house.pypi.list("demo", status=ProjectStatus(Status.ACTIVE))
        house.pypi.add("demo", WHEEL)
        house.clock.advance(minutes=1)
        assert (await ask(house))[0] == [WHEEL.filename]

    async def test_no_more_absences_are_remembered_than_the_bound(
        self, make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cached_pages, "MAX_ABSENT", 3)
        house = await make_house()
        names = [ProjectName(f"absent-{number}") for number in range(5)]
        for name in (*names, *names[3:]):
            await house.upstream_pages.get("pypi", name)
        assert house.pypi.count() == 5
        await house.upstream_pages.get("pypi", names[0])
        assert house.pypi.count() == 6

    async def test_another_upstream_is_asked_itself(self, make_house: MakeHouse, house: House) -> None:
        other = type(house.pypi)("other")
        other.add("demo", NEXT)
        house = await make_house(upstreams=[type(house.pypi)("pypi"), other])
        assert (await house.upstream_pages.get("pypi", DEMO)).page is None
        assert (await house.upstream_pages.get("other", DEMO)).page is not None


class TestOffline:
    async def test_pages_never_expire_and_nobody_is_asked(self, make_house: MakeHouse, house: House) -> None:
        await ask(house)
        offline = await make_house(rules=CacheRules(offline=True), store=house.store, clock=house.clock)
        house.clock.advance(days=3650)
        assert await ask(offline) == ([WHEEL.filename], "hit; detail=offline")
        assert offline.pypi.count() == 0

    async def test_a_name_never_seen_is_unavailable(self, make_house: MakeHouse) -> None:
        house = await make_house(rules=CacheRules(offline=True))
        house.pypi.add("demo", WHEEL)
        with pytest.raises(UpstreamTrouble, match="offline"):
            await ask(house)
        assert house.pypi.count() == 0
