"""Where cached pages are kept, within which bounds, and what changes them from outside."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import pytest
from msgspec import structs

from proxy.core.digests import sha256_of
from proxy.core.errors import StorageFull, UpstreamBroken, UpstreamTrouble
from proxy.core.freshness import CacheRules
from proxy.core.model import File
from proxy.core.names import ProjectName
from proxy.core.packed import LOOSE_FILE, MAX_LOOSE
from proxy.services import cached_pages, upstream_trouble
from tests.builders import build_wheel
from tests.fakes.gate import Gate, settle
from tests.services.house import DEMO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.core.digests import Sha256
    from proxy.core.model import PageEntry
    from proxy.services.cached_pages import CachedPage
    from tests.services.house import House, MakeHouse

DOWN = UpstreamTrouble("the upstream pypi cannot be reached")
WHEEL = build_wheel("demo", "1.0")
NEXT = build_wheel("demo", "2.0")
FILE = File("", "https://files.example/x", {"sha256": "ab" * 32})
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


class TestConfigure:
    async def test_other_rules_hold_for_what_is_cached(self, house: House) -> None:
        await ask(house)
        house.clock.advance(minutes=1)
        house.upstream_pages.configure(CacheRules(page_ttl=timedelta(minutes=1)))
        assert (await ask(house))[1] == "fwd=stale"
        house.upstream_pages.configure(CacheRules(offline=True))
        house.clock.advance(days=1)
        assert (await ask(house))[1] == "hit; detail=offline"

    async def test_absent_names_are_asked_for_again(self, house: House) -> None:
        house.pypi.remove("demo")
        assert (await house.upstream_pages.get("pypi", DEMO)).page is None
        house.pypi.add("demo", WHEEL)
        house.upstream_pages.configure(CacheRules())
        assert (await ask(house))[0] == [WHEEL.filename]

    async def test_offline_an_absence_is_not_known(self, house: House) -> None:
        house.pypi.remove("demo")
        assert (await house.upstream_pages.get("pypi", DEMO)).page is None
        house.upstream_pages.configure(CacheRules(offline=True))
        with pytest.raises(UpstreamTrouble, match="offline"):
            await ask(house)

    async def test_a_new_client_of_an_upstream_is_used(self, house: House) -> None:
        await ask(house)
        house.upstreams["pypi"] = type(house.pypi)("pypi")
        house.pypi.add("demo", NEXT)
        house.clock.advance(minutes=TTL_MINUTES)
        assert (await ask(house))[0] == [NEXT.filename]

    async def test_when_other_hosts_may_be_linked_a_page_is_fetched_whole(self, house: House) -> None:
        before = await page_of(house)
        house.pypi.links += " files.example:443"
        house.clock.advance(minutes=TTL_MINUTES)
        after = await house.upstream_pages.get("pypi", DEMO)
        assert house.pypi.asked[-1].validators is None
        assert after.status.parameters == "fwd=stale; stored"
        assert after.page is not None
        assert (before.entry.links, after.page.entry.links) == ("https pypi.example:443", house.pypi.links)
        house.clock.advance(minutes=TTL_MINUTES)
        assert (await ask(house))[1] == "fwd=stale"


class TestStorage:
    async def test_pages_survive_a_restart(self, make_house: MakeHouse, house: House) -> None:
        await ask(house)
        restarted = await make_house(upstreams=[house.pypi], store=house.store, clock=house.clock)
        house.clock.advance(seconds=100)
        assert await ask(restarted) == ([WHEEL.filename], "hit; ttl=500")
        assert house.pypi.count() == 1

    async def test_without_storage_pages_are_answered_all_the_same(self, house: House) -> None:
        house.store.trouble = StorageFull("no space left")
        assert (await ask(house))[1] == "fwd=miss; stored"
        assert (await ask(house))[1] == "hit; ttl=600"
        house.clock.advance(minutes=TTL_MINUTES)
        assert (await ask(house))[1] == "fwd=stale"
        house.pypi.remove("demo")
        house.clock.advance(minutes=TTL_MINUTES)
        assert (await house.upstream_pages.get("pypi", DEMO)).page is None
        assert house.store.pages == {}

    async def test_a_full_disk_keeps_the_old_page_in_the_store(self, house: House) -> None:
        await ask(house)
        house.pypi.add("demo", NEXT)
        house.clock.advance(minutes=TTL_MINUTES)
        house.store.trouble = StorageFull("no space left")
        assert (await ask(house))[0] == [WHEEL.filename, NEXT.filename]
        house.store.trouble = None
        assert len(house.store.pages["pypi", DEMO].detail.files) == 1

    async def test_what_a_full_disk_did_not_take_is_kept_when_it_is_confirmed(self, house: House) -> None:
        await ask(house)
        house.pypi.add("demo", NEXT)
        house.clock.advance(minutes=TTL_MINUTES)
        house.store.trouble = StorageFull("no space left")
        await ask(house)
        house.store.trouble = None
        house.clock.advance(minutes=TTL_MINUTES)
        assert (await ask(house))[1] == "fwd=stale"
        kept = house.store.pages["pypi", DEMO]
        assert (len(kept.detail.files), kept.checked_at) == (2, house.clock.now())

    async def test_so_is_one_that_was_evicted(self, house: House) -> None:
        await ask(house)
        house.store.pages.clear()
        house.clock.advance(minutes=TTL_MINUTES)
        assert (await ask(house))[1] == "fwd=stale"
        assert house.store.pages["pypi", DEMO].checked_at == house.clock.now()


class TestMemory:
    @pytest.fixture
    async def small(self, make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch) -> House:
        """Memory for seven: pages count one, and one for each file."""
        monkeypatch.setattr(cached_pages, "MAX_IN_MEMORY", 7 * LOOSE_FILE)
        house = await make_house()
        for name, files in {"a": 2, "b": 2, "c": 2, "large": 7}.items():
            for version in range(files):
                house.pypi.add(name, build_wheel(name, str(version)))
        return house

    async def is_read_from_the_store(self, house: House, name: str) -> bool:
        """Whether the next request for the page needs the store."""
        held, house.store.pages = house.store.pages, {}
        asked = house.pypi.count()
        await ask(house, ProjectName(name))
        house.store.pages = held
        return house.pypi.count() > asked

    async def test_the_least_recently_used_page_is_left_to_the_store(self, small: House) -> None:
        for name in ("a", "b", "a", "c"):
            await ask(small, ProjectName(name))
        assert small.pypi.count() == 3
        assert [await self.is_read_from_the_store(small, name) for name in ("a", "c", "b")] == [False, False, True]

    async def test_a_page_over_the_whole_bound_is_served_from_the_store(self, small: House) -> None:
        assert len((await ask(small, ProjectName("large")))[0]) == 7
        await ask(small, ProjectName("large"))
        assert small.pypi.count() == 1
        assert await self.is_read_from_the_store(small, "large")

    async def test_a_page_that_grew_over_the_bound_is_the_one_that_is_served(self, small: House) -> None:
        await ask(small, ProjectName("a"))
        for version in range(2, 7):
            small.pypi.add("a", build_wheel("a", str(version)))
        small.clock.advance(minutes=TTL_MINUTES)
        for _ in range(2):
            assert len((await ask(small, ProjectName("a")))[0]) == 7
        assert small.pypi.count() == 2

    async def test_random_names_leave_nothing_behind_but_the_bound(
        self, make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.ERROR)  # what is caught would be what grows
        monkeypatch.setattr(cached_pages, "MAX_ABSENT", 50)
        monkeypatch.setattr(upstream_trouble, "MAX_TROUBLES", 50)
        house = await make_house()

        async def flood(start: int, trouble: UpstreamTrouble | None) -> None:
            house.pypi.trouble = trouble
            for number in range(start, start + 200):
                with suppress(UpstreamTrouble):
                    await house.upstream_pages.get("pypi", ProjectName(f"random-{number}"))

        async def grown_by(start: int) -> int:
            before, _ = tracemalloc.get_traced_memory()
            for trouble in (None, UpstreamTrouble("down"), UpstreamBroken("broken")):
                await flood(start, trouble)
            house.pypi.trouble = None
            await settle()
            house.pypi.asked.clear()
            gc.collect()
            return tracemalloc.get_traced_memory()[0] - before

        tracemalloc.start()
        try:
            growths = [await grown_by(start) for start in (0, 200, 400, 600)]
        finally:
            tracemalloc.stop()
        assert max(growths[2:]) < 10_000
        assert house.store.pages == {}


class TestLongPages:
    """They are served before they are stored."""

    @pytest.fixture
    def demo(self, house: House) -> File:
        return self.add(house, 1)

    @pytest.fixture
    def saving(self, house: House, monkeypatch: pytest.MonkeyPatch) -> Gate:
        """Where the store waits before it saves a page."""
        gate, save = Gate(), house.store.save_page

        async def save_slowly(entry: PageEntry) -> None:
            await gate.pass_through()
            await save(entry)

        monkeypatch.setattr(house.store, "save_page", save_slowly)
        return gate

    def add(self, house: House, major: int) -> File:
        """Files of one more version than fit a page that is stored at once; the last one."""
        files = [structs.replace(FILE, filename=f"demo-{major}.{minor}.tar.gz") for minor in range(MAX_LOOSE + 1)]
        house.pypi.list("demo", *files)
        return files[-1]

    @pytest.mark.parametrize("memory", [cached_pages.MAX_IN_MEMORY, 0])
    async def test_the_store_is_not_waited_for(
        self, house: House, saving: Gate, monkeypatch: pytest.MonkeyPatch, memory: int
    ) -> None:
        monkeypatch.setattr(cached_pages, "MAX_IN_MEMORY", memory)
        assert (await ask(house))[1] == "fwd=miss; stored"
        assert house.store.pages == {}
        again = asyncio.create_task(ask(house))
        saving.open()
        assert (await again)[1] == "hit; ttl=600", "where it is not in memory, the store was waited for"
        assert house.pypi.count() == 1

    async def test_their_files_are_found(self, house: House, demo: File) -> None:
        page = await page_of(house)
        assert page.find(demo.sha256, demo.filename) == demo
        assert page.find(demo.sha256, "demo-2.0.tar.gz") is None

    async def test_what_is_read_out_of_their_wheels_shows(self, house: House, demo: File) -> None:
        wheel = house.pypi.add("demo", WHEEL, offers_metadata=False)
        assert (await page_of(house)).files[-1] == wheel
        await house.upstream_pages.learn("pypi", DEMO, wheel.sha256, sha256_of(b"metadata"))
        *others, shown = (await page_of(house)).files
        assert shown == structs.replace(wheel, core_metadata={"sha256": sha256_of(b"metadata")})
        assert len(others) == MAX_LOOSE + 1
        assert demo in others

    async def test_what_is_left_is_stored_in_the_end(self, make_house: MakeHouse, house: House, saving: Gate) -> None:
        saving.open()
        await ask(house)
        await house.upstream_pages.close()
        restarted = await make_house(upstreams=[house.pypi], store=house.store, clock=house.clock)
        assert (await ask(restarted))[1] == "hit; ttl=600"

    async def test_the_last_page_is_the_one_that_is_stored(self, house: House, saving: Gate) -> None:
        await ask(house)
        self.add(house, 2)
        house.clock.advance(minutes=TTL_MINUTES)
        second = asyncio.create_task(ask(house))
        await saving.waiting()
        saving.open()
        await second
        await house.upstream_pages.close()
        assert len(house.store.pages["pypi", DEMO].detail.files) == 2 * (MAX_LOOSE + 1)

    async def test_a_confirmation_comes_after_what_it_confirms(self, house: House, saving: Gate) -> None:
        await ask(house)
        house.clock.advance(minutes=TTL_MINUTES)
        second = asyncio.create_task(ask(house))
        await saving.waiting()
        saving.open()
        assert (await second)[1] == "fwd=stale"
        assert house.store.pages["pypi", DEMO].checked_at == house.clock.now()
        assert saving.arrived == 1

    async def test_an_absence_comes_after_the_page(self, house: House, saving: Gate) -> None:
        await ask(house)
        house.pypi.remove("demo")
        house.clock.advance(minutes=TTL_MINUTES)
        second = asyncio.create_task(house.upstream_pages.get("pypi", DEMO))
        await saving.waiting()
        saving.open()
        assert (await second).page is None
        assert house.store.pages == {}

    async def test_without_storage_they_are_served_all_the_same(
        self, house: House, caplog: pytest.LogCaptureFixture
    ) -> None:
        house.store.trouble = StorageFull("no space left")
        assert (await ask(house))[1] == "fwd=miss; stored"
        await house.upstream_pages.close()
        assert "cannot keep the page of demo: no space left" in caplog.text
        assert (await ask(house))[1] == "hit; ttl=600"


class TestAnswersWhileTheStoreIsRead:
    """What the upstream said counts more than what the store had before."""

    @pytest.fixture
    async def slow(self, make_house: MakeHouse, house: House, monkeypatch: pytest.MonkeyPatch) -> tuple[House, Gate]:
        """A restarted house whose first reading of the store ends when the gate opens."""
        await ask(house)
        house.clock.advance(minutes=TTL_MINUTES)
        house = await make_house(upstreams=[house.pypi], store=house.store, clock=house.clock)
        gate = Gate()
        gates, find = [gate], house.store.find_page

        async def find_slowly(upstream: str, name: ProjectName) -> PageEntry | None:
            found = await find(upstream, name)
            if gates:
                await gates.pop().pass_through()
            return found

        monkeypatch.setattr(house.store, "find_page", find_slowly)
        return house, gate

    async def test_a_page(self, slow: tuple[House, Gate]) -> None:
        house, gate = slow
        house.pypi.add("demo", NEXT)
        late = asyncio.create_task(ask(house))
        await gate.waiting()
        house.clock.advance(seconds=1)  # the page is from later than the question that it answers
        assert (await ask(house))[1] == "fwd=stale; stored"
        house.pypi.trouble = DOWN
        gate.open()
        assert await late == ([WHEEL.filename, NEXT.filename], "hit; ttl=600")

    async def test_an_absence(self, slow: tuple[House, Gate]) -> None:
        house, gate = slow
        house.pypi.remove("demo")
        late = asyncio.create_task(house.upstream_pages.get("pypi", DEMO))
        await gate.waiting()
        assert (await house.upstream_pages.get("pypi", DEMO)).page is None
        house.pypi.trouble = DOWN
        gate.open()
        assert (await late).page is None, "it is not asked for again"
        house.clock.advance(minutes=TTL_MINUTES)
        with pytest.raises(UpstreamTrouble):
            await ask(house)


class TestCoreMetadata:
    """What was read out of wheels shows on their page."""

    READ = sha256_of(b"metadata")

    @pytest.fixture
    def demo(self, house: House) -> File:
        return house.pypi.add("demo", WHEEL, offers_metadata=False)

    async def shown(self, house: House) -> object:
        return [file.core_metadata for file in (await page_of(house)).files]

    async def test_what_is_learnt_is_shown_at_once_and_after_a_restart(
        self, make_house: MakeHouse, house: House, demo: File
    ) -> None:
        before = await page_of(house)
        assert await self.shown(house) == [False]
        await house.upstream_pages.learn("pypi", DEMO, demo.sha256, self.READ)
        assert await self.shown(house) == [{"sha256": self.READ}]
        assert (await page_of(house)).revision != before.revision, "what was rendered is another page now"
        restarted = await make_house(upstreams=[house.pypi], store=house.store)
        assert await self.shown(restarted) == [{"sha256": self.READ}]

    async def test_it_outlives_a_change_of_the_page(self, house: House, demo: File) -> None:
        await page_of(house)
        await house.upstream_pages.learn("pypi", DEMO, demo.sha256, self.READ)
        house.pypi.add("demo", NEXT, offers_metadata=False)
        house.clock.advance(minutes=TTL_MINUTES)
        assert await self.shown(house) == [{"sha256": self.READ}, False]

    async def test_it_outlives_a_confirmation_that_was_under_way(self, house: House, demo: File) -> None:
        await page_of(house)
        house.clock.advance(minutes=TTL_MINUTES)
        gate = house.pypi.page_gate = Gate()
        asking = asyncio.create_task(page_of(house))
        await gate.waiting()
        await house.upstream_pages.learn("pypi", DEMO, demo.sha256, self.READ)
        gate.open()
        await asking
        assert await self.shown(house) == [{"sha256": self.READ}]

    async def test_and_a_change_that_was_under_way(
        self, house: House, demo: File, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await page_of(house)
        gate, list_known = Gate(), house.store.list_core_metadata

        async def list_slowly(upstream: str, name: ProjectName) -> Mapping[Sha256, Sha256]:
            known = await list_known(upstream, name)
            await gate.pass_through()
            return known

        monkeypatch.setattr(house.store, "list_core_metadata", list_slowly)
        house.pypi.add("demo", NEXT, offers_metadata=False)
        house.clock.advance(minutes=TTL_MINUTES)
        asking = asyncio.create_task(page_of(house))
        await gate.waiting()
        await house.upstream_pages.learn("pypi", DEMO, demo.sha256, self.READ)
        gate.open()
        await asking
        assert await self.shown(house) == [{"sha256": self.READ}, False]

    async def test_what_the_upstream_promises_counts(self, house: House, demo: File) -> None:
        house.pypi.list("demo", structs.replace(demo, core_metadata={"sha256": "0" * 64}))
        await house.upstream_pages.learn("pypi", DEMO, demo.sha256, self.READ)
        assert await self.shown(house) == [{"sha256": "0" * 64}]

    @pytest.mark.parametrize("promise", [True, {"md5": "0" * 32}])
    async def test_a_promise_without_a_sha256_is_shown_only_when_it_can_be_kept(
        self, house: House, demo: File, promise: Literal[True] | dict[str, str]
    ) -> None:
        house.pypi.list("demo", structs.replace(demo, core_metadata=promise))
        assert await self.shown(house) == [False]
        await house.upstream_pages.learn("pypi", DEMO, demo.sha256, self.READ)
        assert await self.shown(house) == [{"sha256": self.READ}]

    async def test_without_storage_the_page_is_shown_without_it(self, house: House) -> None:
        await page_of(house)
        house.store.trouble = StorageFull("no space left")
        house.pypi.add("demo", NEXT, offers_metadata=False)
        house.clock.advance(minutes=TTL_MINUTES)
        assert await self.shown(house) == [False, False]
