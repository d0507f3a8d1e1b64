"""Core metadata that was read out of an upstream's wheels. No write is durable: what is lost is read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.core.digests import Sha256
from proxy.sqlite.database import Tables

if TYPE_CHECKING:
    from proxy.core.names import ProjectName

_SAVE: Final = """
    INSERT INTO core_metadata (upstream, name, wheel, metadata) VALUES (?, ?, ?, ?)
    ON CONFLICT (upstream, name, wheel) DO UPDATE SET metadata = excluded.metadata
"""

_LIST: Final = "SELECT wheel, metadata FROM core_metadata WHERE upstream = ? AND name = ?"


class SqliteCoreMetadata(Tables):
    """CoreMetadataStore."""

    async def list_core_metadata(self, upstream: str, name: ProjectName) -> dict[Sha256, Sha256]:
        rows = await self._database.read(_LIST, (upstream, name))
        return {Sha256(wheel): Sha256(metadata) for wheel, metadata in rows}

    async def save_core_metadata(self, upstream: str, name: ProjectName, wheel: Sha256, metadata: Sha256) -> None:
        async with self._database.transaction(durable=False) as transaction:
            await transaction.execute(_SAVE, (upstream, name, wheel, metadata))
