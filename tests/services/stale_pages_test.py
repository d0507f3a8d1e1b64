"""How long a page that is at hand waits for a newer one, and when it stands in for it."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import UpstreamBroken, UpstreamTrouble
from proxy.core.freshness import OLD_COPIES_LAST, CacheRules
from proxy.core.names import ProjectName
from proxy.services.upstream_pages import UpstreamPages
from proxy.services.upstream_trouble import PAUSE, Patience
from tests.builders import build_wheel
from tests.fakes.clock import FakeClock
from tests.fakes.gate import Gate, settle, until
from tests.fakes.metadata_store import MemoryMetadataStore
from tests.fakes.upstream import FakeUpstream
from tests.services.house import DEMO, SIX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.services.upstream_pages import Seen

DOWN = UpstreamTrouble("the upstream pypi cannot be reached")
BROKEN = UpstreamBroken("the upstream pypi sent no page")
WHEEL = build_wheel("demo", "1.0")
NEXT = build_wheel("demo", "2.0")
OLD = [WHEEL.filename]
NEW = [WHEEL.filename, NEXT.filename]
AT_ONCE = 0.0
FOR_EVER = 3600.0
"""Seconds; the test's own time is over before."""
TTL = CacheRules().page_ttl


class Stage:
    """Pages of one upstream with two projects, seen once and expired."""

    def __init__(self, patience: Patience, rules: CacheRules) -> None:
        self.clock = FakeClock()
        self.pypi = FakeUpstream()
        self.store = MemoryMetadataStore()
        self.rules = rules
        self.pages = UpstreamPages({"pypi": self.pypi}, self.store, rules, self.clock, patience)

    async def expire(self) -> None:
        self.pypi.add("demo", WHEEL)
        self.pypi.add("six", build_wheel("six", "1.16"))
        for name in (DEMO, SIX):
            await self.pages.get("pypi", name)
        self.clock.time += self.rules.page_ttl

    async def get(self, name: ProjectName = DEMO) -> tuple[list[str], str]:
        return told(await self.pages.get("pypi", name))

    async def get_last(self, name: ProjectName = DEMO) -> tuple[list[str], str]:
        return told(await self.pages.get_last("pypi", name))

    def hang(self) -> Gate:
        """From now on no page is answered until the gate opens."""
        gate = self.pypi.page_gate = Gate()
        return gate

    async def land(self) -> None:
        """Until no flight is under way."""
        await until(lambda: self.pages._flights.count == 0)
        await settle()


def told(seen: Seen) -> tuple[list[str], str]:
    """The file names of a page that is there, and how it was come by."""
    assert seen.page is not None
    return [file.filename for file in seen.page.files], seen.status.parameters


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Nobody waits for an upstream in trouble, and for any other everybody."""
    stage = Stage(Patience(calm=FOR_EVER, in_trouble=AT_ONCE), CacheRules())
    await stage.expire()
    yield stage
    await stage.pages.close()


@pytest.fixture
async def hasty() -> AsyncIterator[Stage]:
    """Nobody waits at all."""
    stage = Stage(Patience(calm=AT_ONCE, in_trouble=AT_ONCE), CacheRules())
    await stage.expire()
    yield stage
    await stage.pages.close()


def test_the_waits_leave_room_for_the_answer_within_ten_seconds() -> None:
    assert 0 < Patience().in_trouble <= 1 < Patience().calm <= 3


class TestSlow:
    async def test_a_page_in_time_is_the_new_one(self, stage: Stage) -> None:
        stage.pypi.add("demo", NEXT)
        gate = stage.hang()
        asking = asyncio.create_task(stage.get())
        await gate.waiting()
        gate.open()
        assert await asking == (NEW, "fwd=stale; stored")

    async def test_after_that_time_the_page_at_hand_is_served_and_the_flight_goes_on(self, hasty: Stage) -> None:
        hasty.pypi.add("demo", NEXT)
        gate = hasty.hang()
        assert await hasty.get() == (OLD, "hit; ttl=-0; detail=stale-if-error")
        gate.open()
        await hasty.land()
        assert await hasty.get() == (NEW, "hit; ttl=600")
        assert hasty.pypi.count("page", "demo") == 2

    async def test_what_is_too_old_to_stand_in_is_waited_for(self, hasty: Stage) -> None:
        hasty.clock.time += hasty.rules.stale_if_error + timedelta(seconds=1)
        gate = hasty.hang()
        asking = asyncio.create_task(hasty.get())
        await gate.waiting()
        await settle()
        assert not asking.done()
        gate.open()
        assert await asking == (OLD, "fwd=stale")

    async def test_meanwhile_other_pages_at_hand_are_served_without_asking(self, hasty: Stage) -> None:
        hasty.hang()
        await hasty.get()
        assert (await hasty.get(SIX))[1] == "hit; ttl=-0; detail=stale-if-error"
        assert hasty.pypi.count("page", "six") == 1

    async def test_when_it_answers_at_last_all_are_asked_for_again(self, hasty: Stage) -> None:
        gate = hasty.hang()
        await hasty.get()
        gate.open()
        await hasty.land()
        hasty.pypi.page_gate = None
        await hasty.get(SIX)
        assert hasty.pypi.count("page", "six") == 2

    async def test_a_page_never_seen_is_waited_for(self, hasty: Stage) -> None:
        await hasty.pages.close()
        fresh = Stage(Patience(AT_ONCE, AT_ONCE), CacheRules())
        fresh.pypi.add("demo", WHEEL)
        gate = fresh.hang()
        asking = asyncio.create_task(fresh.get())
        await gate.waiting()
        gate.open()
        assert await asking == (OLD, "fwd=miss; stored")

    async def test_an_absence_in_time_is_the_answer(self, stage: Stage) -> None:
        stage.pypi.remove("demo")
        assert (await stage.pages.get("pypi", DEMO)).page is None

    async def test_an_absence_that_comes_late_is_believed_by_the_next(self, hasty: Stage) -> None:
        hasty.pypi.remove("demo")
        gate = hasty.hang()
        assert (await hasty.get())[0] == OLD
        gate.open()
        await hasty.land()
        assert (await hasty.pages.get("pypi", DEMO)).page is None
        assert (await hasty.pages.get_last("pypi", DEMO)).page is None

    async def test_who_stops_waiting_ends_nothing(self, stage: Stage) -> None:
        stage.pypi.add("demo", NEXT)
        gate = stage.hang()
        asking = asyncio.create_task(stage.get())
        await gate.waiting()
        asking.cancel()
        await settle()
        gate.open()
        await stage.land()
        assert await stage.get() == (NEW, "hit; ttl=600")

    async def test_closing_ends_the_flight_and_who_waits_for_it(self, stage: Stage) -> None:
        gate = stage.hang()
        asking = asyncio.create_task(stage.get())
        await gate.waiting()
        await stage.pages.close()
        with pytest.raises(asyncio.CancelledError):
            await asking


class TestKnownTrouble:
    async def fail(self, stage: Stage) -> None:
        """The upstream is in trouble, and its pause is over."""
        stage.pypi.trouble = DOWN
        await stage.get()
        stage.clock.time += PAUSE

    async def test_a_retry_that_hangs_holds_nobody_up(self, stage: Stage) -> None:
        await self.fail(stage)
        stage.hang()
        assert (await stage.get())[0] == OLD
        assert stage.pypi.count("page", "demo") == 3

    async def test_each_page_is_asked_for_once_meanwhile(self, stage: Stage) -> None:
        await self.fail(stage)
        stage.hang()
        for _ in range(3):
            await stage.get()
            await stage.get(SIX)
        assert (stage.pypi.count("page", "demo"), stage.pypi.count("page", "six")) == (3, 2)

    async def test_a_page_that_is_always_broken_keeps_no_other_from_being_asked_for(self, stage: Stage) -> None:
        stage.pypi.broken_pages[DEMO] = BROKEN
        for _ in range(4):
            await stage.get_last()
            await stage.land()
            stage.clock.time += PAUSE
        await stage.get_last()
        await stage.get(SIX)
        await stage.land()
        assert (await stage.get(SIX))[1].startswith("hit; ttl=6")

    async def test_nor_does_one_that_always_fails(self, stage: Stage) -> None:
        stage.pypi.broken_pages[ProjectName("always")] = DOWN
        for _ in range(4):
            with pytest.raises(UpstreamTrouble):
                await stage.get(ProjectName("always"))
            stage.clock.time += PAUSE / 2
        await stage.get()
        await stage.land()
        assert await stage.get() == (OLD, "hit; ttl=600")

    async def test_a_retry_that_hangs_for_longer_than_a_pause_is_not_repeated(self, stage: Stage) -> None:
        await self.fail(stage)
        stage.hang()
        await stage.get()
        stage.clock.time += PAUSE
        await stage.get()
        assert stage.pypi.count("page", "demo") == 3

    async def test_an_answer_ends_it(self, stage: Stage) -> None:
        await self.fail(stage)
        stage.pypi.trouble = None
        await stage.get()
        await stage.land()
        assert await stage.get() == (OLD, "hit; ttl=600")
        gate = stage.hang()
        asking = asyncio.create_task(stage.get(SIX))
        await gate.waiting()
        await settle()
        assert not asking.done(), "it is waited for again"
        gate.open()
        assert (await asking)[1] == "fwd=stale"

    async def test_so_it_does_where_one_page_was_broken(self, stage: Stage) -> None:
        stage.pypi.broken_pages[DEMO] = BROKEN
        await stage.get()
        stage.pypi.broken_pages.clear()
        stage.clock.time += PAUSE
        await stage.get()
        await stage.land()
        stage.clock.time += TTL
        gate = stage.hang()
        asking = asyncio.create_task(stage.get())
        await gate.waiting()
        await settle()
        assert not asking.done(), "it is waited for again"
        gate.open()
        await asking

    async def test_it_is_told_of_once_a_failure(self, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
        stage.pypi.trouble = DOWN
        with caplog.at_level(logging.INFO):
            for _ in range(5):
                await stage.get()
                await stage.get(SIX)
        assert [record.message for record in caplog.records] == [DOWN.message]

    async def test_a_clock_that_is_set_back_ends_the_pause(self, stage: Stage) -> None:
        stage.pypi.trouble = DOWN
        await stage.get()
        stage.pypi.trouble = None
        stage.clock.advance(days=-1)
        await stage.get()
        await stage.land()
        assert stage.pypi.count("page", "demo") == 3

    async def test_a_reload_asks_again_at_once(self, stage: Stage) -> None:
        stage.pypi.trouble = DOWN
        await stage.get()
        stage.pypi.trouble = None
        stage.pages.configure(stage.rules)
        assert (await stage.get())[1] == "fwd=stale"


class TestFiles:
    """The last good page decides about files without waiting for an upstream in trouble."""

    async def test_a_healthy_upstream_is_waited_for(self, stage: Stage) -> None:
        stage.pypi.add("demo", NEXT)
        assert await stage.get_last() == (NEW, "fwd=stale; stored")

    async def test_one_in_trouble_is_not(self) -> None:
        stage = Stage(Patience(FOR_EVER, FOR_EVER), CacheRules())
        await stage.expire()
        stage.pypi.trouble = DOWN
        await stage.get_last()
        stage.pypi.trouble = None
        stage.pypi.add("demo", NEXT)
        stage.clock.time += PAUSE
        gate = stage.hang()
        assert await stage.get_last() == (OLD, "hit; ttl=-5; detail=stale-if-error")
        gate.open()
        await stage.land()
        assert await stage.get_last() == (NEW, "hit; ttl=600")

    async def test_a_page_past_all_bounds_still_decides_without_waiting(self, hasty: Stage) -> None:
        hasty.clock.time += hasty.rules.stale_if_error + timedelta(days=1)
        hasty.hang()
        assert (await hasty.get_last())[0] == OLD

    async def test_a_hundred_files_of_an_upstream_that_hangs_cause_one_request_a_page(self, stage: Stage) -> None:
        stage.pypi.trouble = DOWN
        await stage.get()
        stage.clock.time += PAUSE
        asked = stage.pypi.count()
        stage.hang()
        for _ in range(50):
            await stage.get_last()
            await stage.get_last(SIX)
        await settle()
        assert stage.pypi.count() == asked + 2


class TestRetryAfter:
    @pytest.mark.parametrize(("seconds", "pause"), [(0, 5), (3, 5), (30, 30)])
    async def test_the_upstream_is_left_alone_for_as_long_as_it_asks_for(
        self, stage: Stage, seconds: int, pause: int
    ) -> None:
        stage.pypi.trouble = UpstreamTrouble("429", retry_after=seconds)
        await stage.get()
        stage.pypi.trouble = None
        asked = stage.pypi.count()
        stage.clock.advance(seconds=pause - 0.001)
        assert (await stage.get())[0] == OLD
        assert (await stage.get(SIX))[1].endswith("stale-if-error")
        assert stage.pypi.count() == asked
        stage.clock.advance(seconds=0.001)
        await stage.get()
        await stage.land()
        assert stage.pypi.count() == asked + 1

    async def test_who_can_be_served_nothing_is_told_how_long(self) -> None:
        stage = Stage(Patience(FOR_EVER, AT_ONCE), CacheRules(stale_if_error=timedelta(0)))
        await stage.expire()
        stage.clock.advance(seconds=1)
        stage.pypi.trouble = UpstreamTrouble("429", retry_after=30)
        for wait in (30.0, 20.0):
            with pytest.raises(UpstreamTrouble, match="429") as caught:
                await stage.get()
            assert caught.value.retry_after == wait
            stage.clock.advance(seconds=10)

    async def test_a_name_never_seen_is_asked_for_all_the_same(self, stage: Stage) -> None:
        stage.pypi.trouble = UpstreamTrouble("429", retry_after=30)
        await stage.get()
        for _ in range(2):
            with pytest.raises(UpstreamTrouble):
                await stage.pages.get("pypi", ProjectName("never-seen"))
        assert stage.pypi.count("page", "never-seen") == 2


class TestOldCopies:
    """A page with a lower serial than the one at hand comes out of a cache on the way."""

    def publish(self, stage: Stage, serial: int | None, version: str) -> None:
        """The upstream answers with one file of this version under this serial."""
        stage.pypi.pages.pop(DEMO, None)
        stage.pypi.add("demo", build_wheel("demo", version))
        stage.pypi.pages[DEMO] = stage.pypi.pages[DEMO]._replace(serial=serial)

    async def see(self, stage: Stage, serial: int | None, version: str) -> tuple[list[str], str]:
        """What is served where the upstream's answer is this page, the one at hand having expired."""
        self.publish(stage, serial, version)
        stage.clock.time += TTL
        files, status = await stage.get()
        return [filename.split("-")[1] for filename in files], status

    async def test_it_is_not_believed(self, stage: Stage) -> None:
        await self.see(stage, 7, "7")
        assert await self.see(stage, 6, "6") == (["7"], "hit; ttl=-0; detail=stale-if-error")
        entry = stage.store.pages["pypi", DEMO]
        assert (entry.serial, entry.detail.versions) == (7, ("7",))

    async def test_the_page_alone_is_in_trouble(self, stage: Stage) -> None:
        await self.see(stage, 7, "7")
        await self.see(stage, 6, "6")
        assert (await stage.get(SIX))[1] == "fwd=stale"

    async def test_it_is_asked_for_again_later(self, stage: Stage) -> None:
        await self.see(stage, 7, "7")
        await self.see(stage, 6, "6")
        self.publish(stage, 8, "8")
        assert (await stage.get())[1].endswith("stale-if-error")
        stage.clock.time += PAUSE
        await stage.get()
        await stage.land()
        assert (await stage.get())[0] == ["demo-8-py3-none-any.whl"]

    @pytest.mark.parametrize("serial", [7, 8, None])
    async def test_any_other_serial_is_believed(self, stage: Stage, serial: int | None) -> None:
        await self.see(stage, 7, "7")
        assert await self.see(stage, serial, "5") == (["5"], "fwd=stale; stored")

    async def test_after_a_page_without_a_serial_any_is(self, stage: Stage) -> None:
        await self.see(stage, None, "7")
        assert await self.see(stage, 6, "6") == (["6"], "fwd=stale; stored")

    async def test_it_is_known_after_a_restart_too(self, stage: Stage) -> None:
        await self.see(stage, 7, "7")
        stage.pages = UpstreamPages({"pypi": stage.pypi}, stage.store, stage.rules, stage.clock)
        assert (await self.see(stage, 6, "6"))[0] == ["7"]

    async def test_serials_of_another_host_are_not_compared(self, stage: Stage) -> None:
        await self.see(stage, 7, "7")
        stage.pypi.links += " mirror.example:443"
        assert await self.see(stage, 6, "6") == (["6"], "fwd=stale; stored")

    async def test_an_index_that_stays_behind_is_believed_at_last(self, stage: Stage) -> None:
        await self.see(stage, 7, "7")
        assert (await self.see(stage, 6, "6"))[0] == ["7"]
        stage.clock.time += OLD_COPIES_LAST
        await self.see(stage, 6, "6")
        await stage.land()
        assert (await self.see(stage, 6, "6"))[0] == ["6"]

    async def test_a_404_is_believed_whatever_was_at_hand(self, stage: Stage) -> None:
        await self.see(stage, 7, "7")
        stage.pypi.remove("demo")
        stage.clock.time += TTL
        assert (await stage.pages.get("pypi", DEMO)).page is None


class TestClock:
    async def test_a_page_from_the_future_is_asked_for(self, stage: Stage) -> None:
        await stage.get()
        stage.clock.advance(days=-3650)
        assert (await stage.get())[1] == "fwd=stale"
        assert (await stage.get())[1] == "hit; ttl=600"

    async def test_it_stands_in_where_the_upstream_is_in_trouble(self, stage: Stage) -> None:
        stage.clock.advance(days=-3650)
        stage.pypi.trouble = BROKEN
        assert await stage.get() == (OLD, "hit; ttl=-0; detail=stale-if-error")

    async def test_an_absence_is_over_for_good_when_a_page_came(self, stage: Stage) -> None:
        stage.pypi.remove("demo")
        assert (await stage.pages.get("pypi", DEMO)).page is None
        stage.pypi.add("demo", WHEEL)
        stage.clock.advance(minutes=1)
        assert (await stage.get())[0] == OLD
        stage.clock.advance(seconds=-30)
        assert (await stage.get())[0] == OLD

    async def test_an_absence_from_the_future_is_not_believed(self, stage: Stage) -> None:
        stage.pypi.remove("demo")
        assert (await stage.pages.get("pypi", DEMO)).page is None
        stage.pypi.add("demo", WHEEL)
        stage.clock.advance(days=-3650)
        assert (await stage.get())[0] == OLD
