"""A download that another process makes, read along: one fetch for all, whichever process they came to.

The neighbour shows its part once the upstream sends. Up to the bytes that it too holds back they are had as they come;
the rest when it has verified them, which is seen by the part being the blob. A neighbour that fails, or is killed,
leaves no blob: who had bytes is cut off, who had none starts anew.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from proxy.core.errors import StorageTrouble, UpstreamTrouble
from proxy.services.download import hold_back
from proxy.services.neighbours import ENOUGH, LOOK_AGAIN, LOOK_LATER

if TYPE_CHECKING:
    from proxy.core.digests import Sha256
    from proxy.ports import Blob, BlobStore, Flights, ShownPart
    from proxy.services.download import Download

logger = logging.getLogger(__name__)


class NeighbourEnded(UpstreamTrouble):
    """It left nothing, and it did not take long: it is for the next to try."""

    def __init__(self) -> None:
        super().__init__("the download was broken off")


async def trail(download: Download, flights: Flights, blobs: BlobStore) -> None:
    """Read along until the neighbour has ended; raises NeighbourEnded, UpstreamTrouble, StorageTrouble."""
    sha256 = download.file.file.sha256
    part: ShownPart | None = None
    began = _now()
    try:
        while not flights.claim(sha256):
            part = part or await blobs.find_shown(sha256)
            if part is not None:
                _advance(download, part)
            await asyncio.sleep(LOOK_LATER if download.readable else LOOK_AGAIN)
        await _finish(download, part, flights, sha256)
    finally:
        if part is not None and not download.has(part):
            await asyncio.shield(part.close())
    if download.complete:
        return
    if download.readable or (_now() - began > ENOUGH and await find_readable(blobs, sha256) is None):
        raise UpstreamTrouble("the download was broken off")
    raise NeighbourEnded


def _advance(download: Download, part: ShownPart) -> None:
    """Nobody is told that there is an answer before there are bytes to be had: without any, all may start anew."""
    if not download.readable and part.size > hold_back(part.length):
        download.begin(part, part.length)
    if download.has(part):
        download.advance(part.size)


async def _finish(download: Download, part: ShownPart | None, flights: Flights, sha256: Sha256) -> None:
    """The claim is ours, so the neighbour has ended."""
    try:
        if part is not None and await part.is_kept():
            if not download.has(part):
                download.begin(part, part.length)
            download.finish(part.size)
    finally:
        flights.let_go(sha256)


async def find_readable(blobs: BlobStore, sha256: Sha256) -> Blob | None:
    """The blob; None also where the disk cannot be asked: what can be fetched is then fetched."""
    try:
        return await blobs.find(sha256)
    except StorageTrouble as error:
        logger.warning("%s", error)
        return None


def _now() -> float:
    return asyncio.get_running_loop().time()
