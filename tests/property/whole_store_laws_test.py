"""What is published, cached and handed out as tokens, in any order and over restarts: memory and SQLite agree.

Beside that they agree, some things are never so: a published blob is not evictable, and what was published is there
until it is deleted.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import structs

from proxy.core.access import Kind as TokenKind
from proxy.core.access import Principal
from proxy.core.digests import sha256_of
from proxy.core.distributions import Kind
from proxy.core.errors import NameTaken, NotFound, SidecarError, TokenNameTaken
from proxy.core.names import parse_project_name
from proxy.core.tokens import Token
from proxy.ports import Use
from proxy.sqlite.store import SqliteStore, open_store
from tests.contracts.samples import NOW, digests_of, new_file, page_entry
from tests.fakes.metadata_store import MemoryMetadataStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from proxy.core.digests import Sha256
    from proxy.core.local import NewFile
    from proxy.core.model import PageEntry
    from proxy.core.names import ProjectName

T = TypeVar("T")
Store: TypeAlias = "SqliteStore | MemoryMetadataStore"

ROOT = 9
ROOM = 10**9

project_ids = st.integers(1, 2)
names = st.sampled_from(["demo", "six"])
contents = st.sampled_from(["one", "two", "three", "four"])
digests = contents.map(lambda content: digests_of(content).sha256)
sizes = st.integers(0, 100)
instants = st.integers(0, 50).map(lambda hours: NOW + timedelta(hours=hours))
token_names = st.sampled_from(["ci", "deploy"])
uploads = st.builds(
    new_file,
    names,
    st.sampled_from(["1.0", "2.0"]),
    project_id=project_ids,
    kind=st.sampled_from(Kind),
    content=contents,
    core_metadata=st.none() | digests,
)


class WholeStores(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.open = AsyncExitStack()
        self.memory = MemoryMetadataStore()
        self.published: dict[int, NewFile] = {}  # by file id, which both give alike
        self.words = 0

    @initialize()
    def start(self) -> None:
        path = Path(self.directory.name, "store.db")
        self.sqlite = self.runner.run(self.open.enter_async_context(open_store(path)))

    @rule()
    def restart(self) -> None:
        self.runner.run(self.open.aclose())
        self.open = AsyncExitStack()
        self.start()

    def teardown(self) -> None:
        self.runner.run(self.open.aclose())
        self.runner.close()
        self.directory.cleanup()

    def same(self, ask: Callable[[Store], Awaitable[T]]) -> T:
        """The answer of both."""

        async def answers() -> tuple[T, T]:
            return await ask(self.sqlite), await ask(self.memory)

        found, expected = self.runner.run(answers())
        assert found == expected
        return found

    def same_or_refused(self, ask: Callable[[Store], Awaitable[T]], refusal: type[SidecarError]) -> T | None:
        async def outcome(store: Store) -> T | None:
            try:
                return await ask(store)
            except refusal:
                return None

        return self.same(outcome)

    @rule(upload=uploads, now=instants)
    def publish(self, upload: NewFile, now: datetime) -> None:
        async def publish(store: Store) -> int:
            return (await store.publish(upload, root=ROOT, now=now)).id

        file = self.same_or_refused(publish, NameTaken)
        taken = any((each.project_id, each.filename) == (upload.project_id, upload.filename) for each in self.files())
        assert (file is None) == taken
        if file is not None:
            self.published[file] = upload

    def files(self) -> list[NewFile]:
        return [*self.published.values()]

    @rule(number=st.integers(0, 9))
    def delete(self, number: int) -> None:
        if self.published:
            file = [*self.published][number % len(self.published)]
            assert self.same(lambda store: store.delete_files([file], root=ROOT)) == 1
            del self.published[file]

    @rule(number=st.integers(0, 9), reason=st.sampled_from([None, "", "broken"]))
    def yank(self, number: int, reason: str | None) -> None:
        if self.published:
            file = [*self.published][number % len(self.published)]
            self.same(lambda store: store.save_yank([file], reason))

    @rule(sha256=digests, size=sizes, now=instants)
    def cache(self, sha256: Sha256, size: int, now: datetime) -> None:
        self.same(lambda store: store.record_cached(sha256, size, now))

    @rule(uses=st.dictionaries(digests, st.builds(Use, sizes, instants)))
    def use(self, uses: dict[Sha256, Use]) -> None:
        self.same(lambda store: store.record_uses(uses))

    @rule(blobs=st.frozensets(digests))
    def forget(self, blobs: frozenset[Sha256]) -> None:
        self.same(lambda store: store.forget_cached(blobs))

    @rule(name=names, files=st.integers(0, 3), checked_at=instants)
    def save_page(self, name: str, files: int, checked_at: datetime) -> None:
        entry = structs.replace(page_entry(name, files=files), checked_at=checked_at)
        self.same(lambda store: store.save_page(entry))

    @rule(room=st.sampled_from([0, ROOM]))
    def delete_pages(self, room: int) -> None:
        async def left(store: Store) -> bool:
            """How many bytes a page takes is each store's own affair."""
            await store.delete_oldest_pages(room)
            return (await store.measure_cache()).pages > 0

        self.same(left)

    @rule(name=token_names, now=instants)
    def add_token(self, name: str, now: datetime) -> None:
        self.words += 1
        token = Token(Principal(TokenKind.PERSONAL, name), sha256_of(b"%d" % self.words))
        self.same_or_refused(lambda store: store.add_token(token, now=now), TokenNameTaken)

    @rule(name=token_names, now=instants)
    def revoke_token(self, name: str, now: datetime) -> None:
        self.same_or_refused(lambda store: store.revoke_token(name, now=now), NotFound)

    @invariant()
    def what_was_published_is_there(self) -> None:
        async def listed(store: Store) -> dict[int, tuple[str, str | None, str | None]]:
            files = [file for name in ("demo", "six") for file in await store.list_files([1, 2], _name(name))]
            return {file.id: (file.digests.sha256, file.core_metadata, file.yanked) for file in files}

        found = self.same(listed)
        assert {file: facts[:2] for file, facts in found.items()} == {
            file: (upload.digests.sha256, upload.core_metadata) for file, upload in self.published.items()
        }

    @invariant()
    def what_is_published_is_never_evictable(self) -> None:
        evictable = {blob.sha256 for blob in self.same(lambda store: store.list_least_used(100))}
        named = {sha256 for file in self.files() for sha256 in (file.digests.sha256, file.core_metadata) if sha256}
        assert not evictable & named
        assert {blob.sha256 for blob in self.same(lambda store: store.list_published(""))} == named

    @invariant()
    def what_is_cached_is_counted(self) -> None:
        cached = self.same(lambda store: store.list_cached(""))
        evictable = self.same(lambda store: store.list_least_used(100))
        assert {blob.sha256 for blob in evictable} <= {blob.sha256 for blob in cached}

        async def measure(store: Store) -> int:
            return (await store.measure_cache()).blobs

        assert self.same(measure) == sum(blob.size for blob in evictable)

    @invariant()
    def pages_are_as_they_were_saved(self) -> None:
        async def pages(store: Store) -> list[PageEntry | None]:
            return [await store.find_page("pypi", _name(name)) for name in ("demo", "six")]

        self.same(pages)

    @invariant()
    def tokens_stay_in_their_order(self) -> None:
        async def tokens(store: Store) -> list[Token]:
            return [*await store.list_tokens()]

        self.same(tokens)
        self.same(lambda store: store.ever_had_token())


def _name(text: str) -> ProjectName:
    return parse_project_name(text)


TestWholeStores = WholeStores.TestCase
TestWholeStores.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
