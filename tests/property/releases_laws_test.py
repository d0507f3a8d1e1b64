"""Whatever is published and deleted, the releases in memory and in SQLite are the same, and none is without files."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import structs

from proxy.core.distributions import Kind
from proxy.core.errors import NameHeld, NameTaken
from proxy.core.local import ReleaseStatus
from proxy.core.model import ProjectStatus, Status
from proxy.core.names import parse_project_name
from proxy.core.releases import Page, ReleaseOrder, ReleaseQuery, search_words
from proxy.sqlite.store import SqliteStore, open_store
from tests.contracts.samples import NOW, new_file
from tests.fakes.metadata_store import MemoryMetadataStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeAlias

    from proxy.core.local import LocalFile, NewFile, Release

    Store: TypeAlias = SqliteStore | MemoryMetadataStore

T = TypeVar("T")

ROOT = 9
ALL = Page(size=100)
project_ids = st.integers(1, 2)
raw_names = st.sampled_from(["demo", "Demo", "my_demo"])
versions = st.sampled_from(["1.0", "1.0.0", "2.0"])
uploads = st.builds(new_file, raw_names, versions, project_id=project_ids, kind=st.sampled_from(Kind))
queries = st.builds(
    ReleaseQuery,
    words=st.sampled_from(["", "my", "DEMO", "my.demo", "x"]).map(search_words),
    version=st.none() | versions,
    status=st.none() | st.sampled_from(ReleaseStatus),
    order=st.sampled_from(ReleaseOrder),
    descending=st.booleans(),
)
scopes = st.permutations([1, 2]) | st.sampled_from([[], [1], [2]])
pages = st.builds(Page, st.integers(1, 3), st.integers(1, 3)) | st.just(ALL)


def plain(release: Release) -> Release:
    return structs.replace(release, id=0)


class BothReleases(RuleBasedStateMachine):
    """Ids of releases are each store's own choice; in both they grow, so that orders agree."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.open = AsyncExitStack()
        self.memory = MemoryMetadataStore()
        self.published: list[tuple[LocalFile, LocalFile]] = []  # as SQLite and as the memory holds it
        self.minutes = 0

    @initialize()
    def open_file(self) -> None:
        directory = Path(self.open.enter_context(tempfile.TemporaryDirectory()))
        self.sqlite = self.runner.run(self.open.enter_async_context(open_store(directory / "store.db")))

    def teardown(self) -> None:
        self.runner.run(self.open.aclose())
        self.runner.close()

    def both(self, ask: Callable[[Store], Awaitable[T]]) -> tuple[T, T]:
        async def answers() -> tuple[T, T]:
            return await ask(self.sqlite), await ask(self.memory)

        return self.runner.run(answers())

    def same(self, ask: Callable[[Store], Awaitable[object]]) -> None:
        """Both give the same answer."""
        found, expected = self.both(ask)
        assert found == expected

    def of(self, store: Store, published: tuple[LocalFile, LocalFile]) -> LocalFile:
        return published[0] if store is self.sqlite else published[1]

    def pick(self, number: int) -> tuple[LocalFile, LocalFile] | None:
        return self.published[number % len(self.published)] if self.published else None

    @rule(upload=uploads)
    def publish(self, upload: NewFile) -> None:
        self.minutes += 1

        async def outcome(store: Store) -> list[LocalFile]:
            try:
                return [await store.publish(upload, root=ROOT, now=NOW + timedelta(minutes=self.minutes))]
            except NameTaken:
                return []

        found, expected = self.both(outcome)
        self.published += zip(found, expected, strict=True)

    @rule(number=st.integers(0, 50))
    def delete_release(self, number: int) -> None:
        if file := self.pick(number):
            self.same(lambda store: store.delete_release(self.of(store, file).release_id, root=ROOT))

    @rule(numbers=st.lists(st.integers(0, 50), max_size=3))
    def delete_files(self, numbers: list[int]) -> None:
        files = {file[0].id for number in numbers if (file := self.pick(number))}
        self.same(lambda store: store.delete_files(files, root=ROOT))

    @rule(number=st.integers(0, 50), hours=st.integers(-5, 5))
    def record_downloads(self, number: int, hours: int) -> None:
        if file := self.pick(number):
            at = NOW + timedelta(hours=hours)
            self.same(lambda store: store.record_downloads({self.of(store, file).release_id: at}))

    @rule(project=project_ids, name=raw_names, status=st.sampled_from(Status))
    def save_status(self, project: int, name: str, status: Status) -> None:
        self.same(lambda store: store.save_status(project, parse_project_name(name), ProjectStatus(status)))

    @rule(name=raw_names, projects=scopes)
    def release_name(self, name: str, projects: Sequence[int]) -> None:
        async def outcome(store: Store) -> bool | None:
            try:
                return await store.release_name(ROOT, projects, parse_project_name(name))
            except NameHeld:
                return None

        self.same(outcome)

    @rule(projects=scopes, query=queries, page=pages)
    def list_releases(self, projects: Sequence[int], query: ReleaseQuery, page: Page) -> None:
        async def listed(store: Store) -> list[object]:
            found = await store.list_releases(projects, query, page)
            return [*map(plain, found), await store.count_releases(projects, query)]

        self.same(listed)

    @rule(name=raw_names)
    def find_facts(self, name: str) -> None:
        self.same(lambda store: store.find_facts(ROOT, [1, 2], parse_project_name(name)))

    @invariant()
    def every_release_has_files_and_every_file_a_release(self) -> None:
        async def held(store: Store) -> list[object]:
            releases = await store.list_releases([1, 2], ReleaseQuery(), ALL)
            files = [list(await store.list_release_files(release.id)) for release in releases]
            assert all(files)
            names = {file.name for each in files for file in each}
            listed = [file for name in names for file in await store.list_files([1, 2], name)]
            assert sorted(file.id for each in files for file in each) == sorted(file.id for file in listed)
            return [[plain(release) for release in releases], [file.id for each in files for file in each]]

        if hasattr(self, "sqlite"):
            self.same(held)


TestBothReleases = BothReleases.TestCase
TestBothReleases.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
