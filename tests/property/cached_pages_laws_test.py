"""Whatever an upstream does, in whatever order: what is served is what it said last, within the config's bounds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy.core.cache_status import Source
from proxy.core.errors import UpstreamBroken, UpstreamTrouble
from proxy.core.freshness import CacheRules, age_beyond, is_old_copy, usable_on_error
from proxy.core.model import PageEntry, ProjectDetail, Validators
from proxy.core.names import ProjectName
from proxy.core.retry_after import MAX_WAIT
from proxy.ports import Absent, FetchedPage, NotModified
from proxy.services.upstream_pages import UpstreamPages
from proxy.services.upstream_trouble import Patience
from tests.fakes.clock import FakeClock
from tests.fakes.gate import settle
from tests.fakes.metadata_store import MemoryMetadataStore
from tests.fakes.upstream import Asked, FakeUpstream

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import datetime

    from proxy.ports import PageAnswer
    from proxy.services.upstream_pages import Seen

HOUR = timedelta(hours=1)
FOR_EVER = Patience(calm=3600, in_trouble=3600)
AT_ONCE = Patience(calm=0, in_trouble=0)

DEMO, SIX = ProjectName("demo"), ProjectName("six")

names = st.sampled_from([DEMO, DEMO, SIX])
times = st.sampled_from([timedelta(seconds=6), timedelta(minutes=11), HOUR, timedelta(days=2)])
cache_rules = st.builds(
    CacheRules,
    page_ttl=st.sampled_from([timedelta(0), timedelta(minutes=10)]),
    negative_ttl=st.sampled_from([timedelta(0), timedelta(minutes=1)]),
    stale_while_revalidate=st.sampled_from([timedelta(0), HOUR]),
    stale_if_error=st.sampled_from([timedelta(0), HOUR, timedelta(days=30)]),
)


class Health(Enum):
    SOUND = auto()
    DOWN = auto()
    BUSY = auto()
    BROKEN = auto()
    HANGING = auto()
    BEHIND = auto()
    """It answers with the page before the last one."""


class Believed(NamedTuple):
    """An answer that is to be believed: a page, or None for an absence, and when the upstream said so last."""

    page: FetchedPage | None
    at: datetime

    def entry(self, links: str) -> PageEntry | None:
        return PageEntry("pypi", *self.page[:2], self.at, links, self.page.serial) if self.page else None


class FickleUpstream(FakeUpstream):
    """It keeps account of what is to be believed of all that it said."""

    def __init__(self, clock: FakeClock, rules: CacheRules) -> None:
        super().__init__()
        self.health = Health.SOUND
        self.believed: dict[ProjectName, Believed] = {}
        self._clock, self._rules = clock, rules
        self._before: dict[ProjectName, FetchedPage] = {}
        self._end_of_hanging: asyncio.Future[None] | None = None

    def publish(self, name: ProjectName, version: int, *, tagged: bool, counted: bool) -> None:
        if name in self.pages:
            self._before[name] = self.pages[name]
        validators = Validators(f'"{version}"' if tagged else None)
        detail = ProjectDetail(name, versions=(str(version),))
        self.pages[name] = FetchedPage(detail, validators, version if counted else None)

    async def fetch_page(self, name: ProjectName, validators: Validators | None) -> PageAnswer:
        self.asked.append(Asked("page", name, validators))
        await self._suffer()
        page = self.pages.get(name)
        if page and self.health is Health.BEHIND:
            page = self._before.get(name, page)
        now, held = self._clock.now(), self.believed.get(name)
        if page and validators and validators.etag and validators == page.validators:
            assert held is not None
            self.believed[name] = held._replace(at=now)
            return NotModified()
        entry = held.entry(self.links) if held else None
        if not (page and entry and is_old_copy(entry, page.serial, self._rules, now)):
            self.believed[name] = Believed(page, now)
        return page or Absent()

    def end_hanging(self) -> None:
        """Whoever hangs is answered."""
        if self._end_of_hanging is not None:
            self._end_of_hanging.set_result(None)
            self._end_of_hanging = None

    async def _suffer(self) -> None:
        await asyncio.sleep(0)
        match self.health:
            case Health.DOWN:
                raise UpstreamTrouble("it is down")
            case Health.BUSY:
                raise UpstreamTrouble("it is busy", retry_after=MAX_WAIT)
            case Health.BROKEN:
                raise UpstreamBroken("it is broken")
            case Health.HANGING:
                self._end_of_hanging = self._end_of_hanging or asyncio.get_running_loop().create_future()
                await asyncio.shield(self._end_of_hanging)
                await self._suffer()
            case Health.SOUND | Health.BEHIND:
                pass


class CachedPagesMachine(RuleBasedStateMachine):
    """Who has a page at hand waits for ever, but not where the upstream hangs: no test waits for time to pass."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.latest = self.clock.time
        self.store = MemoryMetadataStore()
        self.versions = 0

    @initialize(rules=cache_rules)
    def start(self, rules: CacheRules) -> None:
        self.cache_rules = rules
        self.index = FickleUpstream(self.clock, rules)
        self.open()
        for _ in range(2):
            self.publish(DEMO, tagged=True, counted=True)

    def open(self) -> None:
        self.pages = UpstreamPages({"pypi": self.index}, self.store, self.cache_rules, self.clock, FOR_EVER)

    def teardown(self) -> None:
        if hasattr(self, "pages"):
            self.runner.run(self.pages.close())
        self.runner.close()

    # What happens

    @rule(name=names, tagged=st.booleans(), counted=st.booleans())
    def publish(self, name: ProjectName, *, tagged: bool, counted: bool) -> None:
        self.versions += 1
        self.index.publish(name, self.versions, tagged=tagged, counted=counted)

    @rule(name=names)
    def remove(self, name: ProjectName) -> None:
        self.index.pages.pop(name, None)

    @rule(health=st.sampled_from(Health))
    def fall_ill(self, health: Health) -> None:
        self.index.health = health
        self.pages._patience = AT_ONCE if health is Health.HANGING else FOR_EVER

    @precondition(lambda self: self.index.health is not Health.HANGING)
    @rule()
    def end_hanging(self) -> None:
        self.runner.run(self.let_land())

    @rule(time=times)
    def pass_time(self, time: timedelta) -> None:
        self.clock.time += time

    @rule(time=times)
    def set_the_clock_back(self, time: timedelta) -> None:
        self.latest = max(self.clock.time, self.latest)
        self.clock.time -= time

    @rule(offline=st.booleans())
    def reload(self, *, offline: bool) -> None:
        self.cache_rules = replace(self.cache_rules, offline=offline)
        self.pages.configure(self.cache_rules)

    @rule()
    def restart(self) -> None:
        self.runner.run(self.pages.close())
        self.open()
        self.fall_ill(self.index.health)

    # What is served

    @invariant()
    def ask_for_all(self) -> None:
        for name in (DEMO, SIX):
            self.ask(name, for_a_file=False)
            self.ask(name, for_a_file=True)

    def ask(self, name: ProjectName, *, for_a_file: bool) -> None:
        asked, before = self.index.count(), self.index.believed.get(name)
        get = self.pages.get_last if for_a_file else self.pages.get
        try:
            seen = self.runner.run(self.settled(get("pypi", name)))
        except UpstreamTrouble:
            assert self.may_fail(before, for_a_file=for_a_file)
            return
        finally:
            assert not (self.cache_rules.offline and self.index.count() > asked), "offline nobody is asked"
        self.check(seen, before, self.index.believed[name], for_a_file=for_a_file)

    @precondition(lambda self: not self.cache_rules.offline)
    @rule(name=names)
    def recover(self, name: ProjectName) -> None:
        """A while after an upstream is sound again it is believed again."""
        self.fall_ill(Health.SOUND)
        self.runner.run(self.let_land())
        self.clock.time = max(self.clock.time, self.latest) + self.cache_rules.stale_while_revalidate
        self.clock.time += max(timedelta(seconds=MAX_WAIT), self.cache_rules.page_ttl, self.cache_rules.negative_ttl)
        seen = self.runner.run(self.settled(self.pages.get("pypi", name)))
        truth = Believed(self.index.pages.get(name), self.clock.now())
        assert self.index.believed[name] == truth
        assert (seen.page and seen.page.entry) == truth.entry(self.index.links)

    async def settled(self, asking: Coroutine[None, None, Seen]) -> Seen:
        """The answer, when all that it causes is done; who hangs and cannot be served otherwise is told so."""
        task = asyncio.create_task(asking)
        await settle()
        if not task.done():
            self.index.health = Health.DOWN
            self.index.end_hanging()
        await asyncio.wait({task})
        await settle()
        return task.result()

    async def let_land(self) -> None:
        self.index.end_hanging()
        await settle()

    def may_fail(self, before: Believed | None, *, for_a_file: bool) -> bool:
        """Only where no page is at hand, or one that is too old to stand in for another page."""
        entry = before.entry(self.index.links) if before else None
        if entry is None:
            return self.cache_rules.offline or self.index.health not in {Health.SOUND, Health.BEHIND}
        return not (
            for_a_file or self.cache_rules.offline or usable_on_error(entry, self.cache_rules, self.clock.now())
        )

    def check(self, seen: Seen, before: Believed | None, after: Believed, *, for_a_file: bool) -> None:
        """What is served is what was believed before, or has been since."""
        now = self.clock.now()
        if seen.page is None:
            assert after.page is None
            assert after.at == now or timedelta(0) <= now - after.at < self.cache_rules.negative_ttl
            return
        entry = seen.page.entry
        age = age_beyond(entry, self.cache_rules, now)
        if seen.status.source in {Source.HIT, Source.STALE}:
            assert before is not None
            assert entry == before.entry(self.index.links)
        else:
            assert entry == after.entry(self.index.links)
            assert entry.checked_at == now
        if not self.cache_rules.offline:
            assert (seen.status.source is Source.STALE) <= (age >= timedelta(0))
            assert (seen.status.source is Source.HIT) <= (age < timedelta(0))
            meanwhile = age < self.cache_rules.stale_while_revalidate
            assert for_a_file or meanwhile or usable_on_error(entry, self.cache_rules, now)


TestCachedPages = CachedPagesMachine.TestCase
TestCachedPages.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
