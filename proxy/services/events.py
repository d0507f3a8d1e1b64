"""What happens by itself or is done to what is kept, on its way to the meters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core import metrics
from proxy.core.errors import StorageTrouble, UpstreamBroken
from proxy.core.metrics import Ended, Shared

if TYPE_CHECKING:
    from proxy.core.errors import SidecarError
    from proxy.core.local import LocalFile
    from proxy.core.metrics import Deleted
    from proxy.services.janitor import Freed
    from proxy.services.meters import Meters


class Events:
    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    def page_joined(self) -> None:
        self._meters.add(metrics.COALESCED.cell(Shared.PAGE))

    def file_joined(self) -> None:
        self._meters.add(metrics.COALESCED.cell(Shared.FILE))

    def cached(self) -> None:
        self._meters.add(metrics.DOWNLOADS.cell(Ended.CACHED))

    def not_cached(self, error: SidecarError) -> None:
        self._meters.add(metrics.DOWNLOADS.cell(_how_ended(error)))

    def published(self, file: LocalFile) -> None:
        self._meters.add(metrics.UPLOADS.cell())
        self._meters.add(metrics.UPLOADED_BYTES.cell(), file.digests.size)

    def deleted(self, what: Deleted) -> None:
        self._meters.add(metrics.DELETIONS.cell(what))

    def freed(self, freed: Freed) -> None:
        self._meters.add(metrics.EVICTIONS.cell(), freed.evicted_files)
        self._meters.add(metrics.EVICTED_BYTES.cell("files"), freed.evicted_bytes)
        self._meters.add(metrics.EVICTED_BYTES.cell("pages"), freed.page_bytes)
        self._meters.add(metrics.SWEPT_BYTES.cell(), freed.leftover_bytes + freed.part_bytes)


def _how_ended(error: SidecarError) -> Ended:
    if isinstance(error, StorageTrouble):
        return Ended.STORAGE
    return Ended.BROKEN if isinstance(error, UpstreamBroken) else Ended.TROUBLE
