from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.core.digests import sha256_of
from proxy.core.errors import StorageTrouble
from proxy.ports import Blob, CachedBlob
from proxy.services.cache_uses import CacheUses
from tests.fakes.clock import START, FakeClock
from tests.fakes.metadata_store import MemoryMetadataStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BLOB = Blob(sha256_of(b"bytes"), 5, Path("unread"))
OTHER = Blob(sha256_of(b"others"), 6, Path("unread"))


@pytest.fixture
def store() -> MemoryMetadataStore:
    return MemoryMetadataStore()


@pytest.fixture
async def uses(store: MemoryMetadataStore) -> AsyncIterator[CacheUses]:
    opened = CacheUses(store, FakeClock(), write_every=3600)
    yield opened
    await opened.close()


async def test_a_blob_is_served_until_the_last_to_send_it_has_ended(uses: CacheUses) -> None:
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(uses.serving(BLOB))
        second.enter_context(uses.serving(BLOB))
        first.close()
        assert uses.is_served(BLOB.sha256)
        assert not uses.is_served(OTHER.sha256)
        second.close()
        assert not uses.is_served(BLOB.sha256)


async def test_who_fails_to_send_it_has_ended_too(uses: CacheUses) -> None:
    with pytest.raises(ConnectionResetError), uses.serving(BLOB):
        raise ConnectionResetError
    assert not uses.is_served(BLOB.sha256)


async def test_uses_are_written_when_it_is_flushed(uses: CacheUses, store: MemoryMetadataStore) -> None:
    with uses.serving(BLOB):
        pass
    assert store.cached == {}
    await uses.flush()
    assert store.cached == {BLOB.sha256: CachedBlob(BLOB.sha256, BLOB.size, START)}


async def test_uses_are_written_when_it_is_closed(uses: CacheUses, store: MemoryMetadataStore) -> None:
    with uses.serving(BLOB), uses.serving(OTHER):
        pass
    await uses.close()
    assert store.cached.keys() == {BLOB.sha256, OTHER.sha256}


async def test_trouble_is_logged_and_passes(
    uses: CacheUses, store: MemoryMetadataStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.trouble = StorageTrouble("the disk is gone")
    with uses.serving(BLOB):
        pass
    await uses.flush()
    assert "cannot note when cached files were used (1): the disk is gone" in caplog.text
