"""Any order of calls on a BlobStore agrees with a dict of bytes by digest."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from proxy.core.digests import sha256_of
from proxy.core.errors import StorageTrouble
from proxy.disk import open_blob_store

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from proxy.ports import BlobStore, BlobWriter

_T = TypeVar("_T")

# Few different contents, so that the same digest comes up again and again.
CONTENT = st.sampled_from([b"", b"a", b"b", b"ab", b"a" * 5000])
WHICH = st.integers(0, 9)
HAS_PARTS = precondition(lambda machine: machine.parts)


@dataclass
class OpenPart:
    writer: BlobWriter
    written: bytes = b""
    committed: bool = False


class BlobStoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.parts: list[OpenPart] = []
        self.kept: dict[bytes, bool] = {}
        self.blobs, self.stack = self.run(self.open())

    def run(self, work: Coroutine[None, None, _T]) -> _T:
        return self.runner.run(work)

    async def open(self) -> tuple[BlobStore, AsyncExitStack]:
        stack = AsyncExitStack()
        return await stack.enter_async_context(open_blob_store(Path(self.directory.name))), stack

    def part(self, which: int) -> OpenPart:
        return self.parts[which % len(self.parts)]

    def is_held(self, data: bytes) -> bool:
        """Whether an open part committed a blob of the same prefix."""
        return sha256_of(data)[:2] in {sha256_of(part.written)[:2] for part in self.parts if part.committed}

    def close_all(self, parts: list[OpenPart]) -> None:
        for part in parts:
            self.run(part.writer.close())
        self.parts = [part for part in self.parts if part not in parts]

    def teardown(self) -> None:
        self.close_all(self.parts)
        self.run(self.stack.aclose())
        self.runner.close()
        self.directory.cleanup()

    @rule(full_digests=st.booleans())
    def begin(self, *, full_digests: bool) -> None:
        self.parts.append(OpenPart(self.run(self.blobs.writer(full_digests=full_digests))))

    @HAS_PARTS
    @rule(which=WHICH, data=CONTENT)
    def write(self, which: int, data: bytes) -> None:
        part = self.part(which)
        if part.committed:
            with pytest.raises(StorageTrouble):
                self.run(part.writer.write(data))
        else:
            self.run(part.writer.write(data))
            part.written += data

    @HAS_PARTS
    @rule(which=WHICH, offset=st.integers(0, 6000), size=st.integers(0, 6000))
    def read(self, which: int, offset: int, size: int) -> None:
        part = self.part(which)
        assert self.run(part.writer.read(offset, size)) == part.written[offset : offset + size]

    @HAS_PARTS
    @rule(which=WHICH)
    def commit(self, which: int) -> None:
        part = self.part(which)
        blob = self.run(part.writer.commit())
        assert (blob.sha256, blob.size) == (sha256_of(part.written), len(part.written))
        if not part.committed:
            self.kept[part.written] = True
        part.committed = True

    @HAS_PARTS
    @rule(which=WHICH)
    def close(self, which: int) -> None:
        self.close_all([self.part(which)])

    @rule(data=CONTENT)
    def delete(self, data: bytes) -> None:
        removable = self.kept.get(data, False) and not self.is_held(data)
        assert self.run(self.blobs.delete(sha256_of(data))) == removable
        self.kept[data] = self.kept.get(data, False) and not removable

    @rule(data=CONTENT, young=st.booleans())
    def delete_what_is_old(self, data: bytes, *, young: bool) -> None:
        older_than = datetime.now(UTC) + timedelta(hours=-1 if young else 1)
        removable = self.kept.get(data, False) and not self.is_held(data) and not young
        assert self.run(self.blobs.delete(sha256_of(data), older_than=older_than)) == removable
        self.kept[data] = self.kept.get(data, False) and not removable

    @rule(data=CONTENT)
    def nothing_goes_while_it_is_held_still(self, data: bytes) -> None:
        async def attempt() -> bool:
            async with self.blobs.held_still():
                return await self.blobs.delete(sha256_of(data))

        assert not self.run(attempt())

    @rule(data=CONTENT)
    def what_is_intact_is_not_put_aside(self, data: bytes) -> None:
        assert not self.run(self.blobs.quarantine(sha256_of(data)))

    @rule(data=CONTENT)
    def rot(self, data: bytes) -> None:
        """A blob's bytes change on the disk; it is put aside unless it is held, and a new commit heals it."""
        if not self.kept.get(data, False) or not data:
            return
        blob = self.run(self.blobs.find(sha256_of(data)))
        assert blob is not None
        good = blob.path.read_bytes()
        rotted = blob.path.with_name("rotting")
        rotted.write_bytes(b"rotten")
        rotted.replace(blob.path)  # another file: the parts' readers keep theirs
        assert self.run(self.blobs.is_intact(blob.sha256)) is False
        if self.run(self.blobs.quarantine(blob.sha256)):
            assert not self.is_held(data)
            self.kept[data] = False
        else:
            assert self.is_held(data)
            blob.path.write_bytes(good)

    @rule()
    def sweep(self) -> None:
        assert self.run(self.blobs.sweep(datetime.now(UTC) + timedelta(hours=1))) == 0, "open parts are no leftovers"

    @rule(data=CONTENT)
    def sweep_a_leftover(self, data: bytes) -> None:
        Path(self.directory.name, "parts", "left").write_bytes(data)
        assert self.run(self.blobs.sweep(datetime.now(UTC) - timedelta(hours=1))) == 0
        assert self.run(self.blobs.sweep(datetime.now(UTC) + timedelta(hours=1))) == len(data)

    @rule()
    def probe(self) -> None:
        self.run(self.blobs.probe())

    @rule()
    def restart(self) -> None:
        self.close_all(self.parts)
        self.run(self.stack.aclose())
        self.blobs, self.stack = self.run(self.open())

    @invariant()
    def the_store_holds_what_was_committed(self) -> None:
        for data, there in self.kept.items():
            found = self.run(self.blobs.read(sha256_of(data), limit=10**6))
            assert found == (data if there else None)

    @invariant()
    def lists_name_what_is_there(self) -> None:
        there = {sha256_of(data): len(data) for data, kept in self.kept.items() if kept}
        prefixes = {sha256_of(data)[:2] for data in self.kept}
        listed = [blob for prefix in sorted(prefixes) for blob in self.run(self.blobs.list_blobs(prefix))]
        assert [(blob.sha256, blob.size) for blob in listed] == sorted(there.items())
        assert all(self.run(self.blobs.is_intact(sha256)) for sha256 in there)

    @rule()
    def prefixes_are_held_from_the_commit_to_the_close(self) -> None:
        held = {sha256_of(part.written)[:2] for part in self.parts if part.committed}
        assert set(self.run(self.blobs.list_held())) == held

    @invariant()
    def sizes_are_of_what_was_written(self) -> None:
        assert [part.writer.size for part in self.parts] == [len(part.written) for part in self.parts]


TestBlobStore = BlobStoreMachine.TestCase
TestBlobStore.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
