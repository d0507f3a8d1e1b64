"""Whether what is sent can be kept: each part is tried by a write and a read, once for all who ask meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from proxy.core.errors import StorageTrouble
from proxy.services.coalesce import Coalescer

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

PATIENCE: Final = 5.0
"""Seconds: whoever asks whether to send requests here will not wait much longer."""


class Probed(Protocol):
    def probe(self) -> Coroutine[None, None, None]:
        """Write and read something; raises StorageTrouble."""
        ...


class Readiness:
    """`parts` have the names by which failures are told."""

    def __init__(self, parts: Mapping[str, Probed], patience: float = PATIENCE) -> None:
        self._parts = parts
        self._patience = patience
        self._probes: Coalescer[str, None] = Coalescer()

    async def find_failures(self) -> Mapping[str, str]:
        """Why parts failed, by their names; empty where all is well."""
        reasons = await asyncio.gather(*map(self._find_failure, self._parts))
        return {name: reason for name, reason in zip(self._parts, reasons, strict=True) if reason}

    async def close(self) -> None:
        await self._probes.close()

    async def _find_failure(self, name: str) -> str | None:
        try:
            async with asyncio.timeout(self._patience):
                await self._probes.run(name, self._parts[name].probe)
        except TimeoutError:
            return "does not answer: its disk hangs, or has too much to do"
        except StorageTrouble as error:
            return error.message
        return None
