"""Blobs by hand: kept, made wrong, taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contracts.samples import NOW, new_file

if TYPE_CHECKING:
    from proxy.core.digests import Sha256
    from proxy.ports import BlobStore
    from tests.fakes.metadata_store import MemoryMetadataStore


async def keep(blobs: BlobStore, data: bytes) -> Sha256:
    """A blob that no row names."""
    part = await blobs.writer()
    try:
        await part.write(data)
        return (await part.commit()).sha256
    finally:
        await part.close()


async def publish(blobs: BlobStore, store: MemoryMetadataStore, content: str = "bytes", name: str = "demo") -> Sha256:
    """The blob of the wheel `name` 1.0, published in project 1."""
    sha256 = await keep(blobs, content.encode())
    await store.publish(new_file(name, content=content), root=1, now=NOW)
    return sha256


async def cache(blobs: BlobStore, store: MemoryMetadataStore, content: str = "cached") -> Sha256:
    sha256 = await keep(blobs, content.encode())
    await store.record_cached(sha256, len(content), NOW)
    return sha256


async def spoil(blobs: BlobStore, sha256: Sha256, data: bytes = b"rotten") -> None:
    """The bytes change beneath the blob's name."""
    blob = await blobs.find(sha256)
    assert blob
    blob.path.write_bytes(data)


async def lose(blobs: BlobStore, sha256: Sha256) -> None:
    blob = await blobs.find(sha256)
    assert blob
    blob.path.unlink()
