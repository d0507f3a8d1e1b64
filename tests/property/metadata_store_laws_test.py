"""Whatever is done to both, the store in memory and the store in SQLite give the same answers."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from msgspec import structs

from proxy.core.distributions import Kind
from proxy.core.errors import NameTaken
from proxy.core.model import ProjectStatus, Status
from proxy.core.names import parse_project_name
from proxy.ports import Use
from proxy.sqlite.store import SqliteStore, open_store
from tests.contracts.samples import NOW, digests_of, new_file, page_entry
from tests.fakes.metadata_store import MemoryMetadataStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from proxy.core.local import LocalFile, NewFile

T = TypeVar("T")

ids = st.integers(1, 3)
scopes = st.frozensets(ids)
raw_names = st.sampled_from(["demo", "Demo", "my_demo", "My.Demo"])
names = raw_names.map(parse_project_name)
contents = st.sampled_from(["one", "two"])
etags = st.none() | st.text(max_size=3)
instants = st.timedeltas(timedelta(-20_000), timedelta(20_000)).map(lambda delta: NOW + delta)
upstreams = st.sampled_from(["pypi", "other"])
uploads = st.builds(
    new_file,
    raw_names,
    st.sampled_from(["1.0", "1.0.0"]),
    project_id=ids,
    kind=st.sampled_from(Kind),
    content=contents,
    requires_python=st.text(max_size=5),
    attestations=st.sampled_from([None, "[{}]"]),
)
statuses = st.builds(ProjectStatus, st.sampled_from(Status), st.none() | st.text(max_size=3))


class BothStores(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.open = AsyncExitStack()
        self.memory = MemoryMetadataStore()
        self.releases: dict[int, int] = {}

    @initialize()
    def open_file(self) -> None:
        directory = Path(self.open.enter_context(tempfile.TemporaryDirectory()))
        self.sqlite = self.runner.run(self.open.enter_async_context(open_store(directory / "store.db")))

    def teardown(self) -> None:
        self.runner.run(self.open.aclose())
        self.runner.close()

    def both(self, ask: Callable[[SqliteStore | MemoryMetadataStore], Awaitable[T]]) -> tuple[T, T]:
        """The answers of the two."""

        async def answers() -> tuple[T, T]:
            return await ask(self.sqlite), await ask(self.memory)

        return self.runner.run(answers())

    def assert_same_files(self, found: Sequence[LocalFile], expected: Sequence[LocalFile]) -> None:
        """Release ids are the store's own choice, but one release has one id."""
        assert [structs.replace(file, release_id=0) for file in found] == [
            structs.replace(file, release_id=0) for file in expected
        ]
        for one, other in zip(found, expected, strict=True):
            assert self.releases.setdefault(one.release_id, other.release_id) == other.release_id
        assert len(set(self.releases.values())) == len(self.releases)

    @rule(upload=uploads, root=ids, now=instants)
    def publish(self, upload: NewFile, root: int, now: datetime) -> None:
        async def outcome(store: SqliteStore | MemoryMetadataStore) -> list[LocalFile]:
            try:
                return [await store.publish(upload, root=root, now=now)]
            except NameTaken:
                return []

        self.assert_same_files(*self.both(outcome))

    @rule(projects=scopes, name=names)
    def list_files(self, projects: frozenset[int], name: str) -> None:
        project = parse_project_name(name)
        self.assert_same_files(*self.both(lambda store: store.list_files(projects, project)))

    @rule(projects=scopes)
    def list_names(self, projects: frozenset[int]) -> None:
        found, expected = self.both(lambda store: store.list_names(projects))
        assert list(found) == list(expected)

    @rule(root=ids, projects=scopes, name=names)
    def find_facts(self, root: int, projects: frozenset[int], name: str) -> None:
        found, expected = self.both(lambda store: store.find_facts(root, projects, parse_project_name(name)))
        assert found == expected

    @rule(projects=scopes, upload=uploads)
    def find_file(self, projects: frozenset[int], upload: NewFile) -> None:
        async def found(store: SqliteStore | MemoryMetadataStore) -> list[LocalFile]:
            file = await store.find_file(projects, upload.digests.sha256, upload.filename)
            return [file] if file else []

        self.assert_same_files(*self.both(found))

    @rule(project=ids, name=names, status=statuses)
    def save_status(self, project: int, name: str, status: ProjectStatus) -> None:
        self.both(lambda store: store.save_status(project, parse_project_name(name), status))

    @rule(projects=scopes, name=names)
    def find_status(self, projects: frozenset[int], name: str) -> None:
        found, expected = self.both(lambda store: store.find_status(projects, parse_project_name(name)))
        assert found == expected

    @rule(files=st.frozensets(st.integers(1, 6)), reason=st.none() | st.text(max_size=3))
    def save_yank(self, files: frozenset[int], reason: str | None) -> None:
        self.both(lambda store: store.save_yank(files, reason))

    @rule(file=st.integers(1, 6))
    def find_attestations(self, file: int) -> None:
        found, expected = self.both(lambda store: store.find_attestations(file))
        assert found == expected

    @rule(upstream=upstreams, name=names, wheel=contents, metadata=contents)
    def save_core_metadata(self, upstream: str, name: str, wheel: str, metadata: str) -> None:
        project, digests = parse_project_name(name), (digests_of(wheel).sha256, digests_of(metadata).sha256)
        self.both(lambda store: store.save_core_metadata(upstream, project, *digests))

    @rule(upstream=upstreams, name=names)
    def list_core_metadata(self, upstream: str, name: str) -> None:
        found, expected = self.both(lambda store: store.list_core_metadata(upstream, parse_project_name(name)))
        assert dict(found) == dict(expected)

    @rule(upstream=upstreams, name=raw_names, files=st.integers(0, 3), etag=etags)
    def save_page(self, upstream: str, name: str, files: int, etag: str | None) -> None:
        entry = page_entry(name, upstream=upstream, files=files, etag=etag)
        self.both(lambda store: store.save_page(entry))

    @rule(upstream=upstreams, name=names, etag=etags, checked_at=instants)
    def confirm_page(self, upstream: str, name: str, etag: str | None, checked_at: datetime) -> None:
        entry = structs.replace(page_entry(name, upstream=upstream, etag=etag), checked_at=checked_at)
        confirmed, expected = self.both(lambda store: store.confirm_page(entry))
        assert confirmed == expected

    @rule(upstream=upstreams, name=names)
    def delete_page(self, upstream: str, name: str) -> None:
        self.both(lambda store: store.delete_page(upstream, parse_project_name(name)))

    @rule(upstream=upstreams, name=names)
    def find_page(self, upstream: str, name: str) -> None:
        found, expected = self.both(lambda store: store.find_page(upstream, parse_project_name(name)))
        assert found == expected

    @rule(content=contents, now=instants)
    def record(self, content: str, now: datetime) -> None:
        digests = digests_of(content)
        self.both(lambda store: store.record_uses({digests.sha256: Use(digests.size, now)}))
        self.both(lambda store: store.record_cached(digests.sha256, digests.size, now))


TestBothStores = BothStores.TestCase
TestBothStores.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
