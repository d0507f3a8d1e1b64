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
        self.run(self.blobs.delete(sha256_of(data)))
        self.kept[data] = False

    @rule()
    def sweep(self) -> None:
        lost = [part for part in self.parts if not part.committed]
        freed = self.run(self.blobs.sweep(datetime.now(UTC) + timedelta(hours=1)))
        assert freed == sum(len(part.written) for part in lost)
        self.close_all(lost)

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
    def sizes_are_of_what_was_written(self) -> None:
        assert [part.writer.size for part in self.parts] == [len(part.written) for part in self.parts]


TestBlobStore = BlobStoreMachine.TestCase
TestBlobStore.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
