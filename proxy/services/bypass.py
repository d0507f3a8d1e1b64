"""Past a disk that takes no more: the rest of a file straight from its upstream, for one client, and not kept.

The client may have had some of it from the part that failed. What is still to come of a whole file is held back at its
end, as in a download, until the digest over all of it agrees.
"""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec.structs import replace

from proxy.core.digests import Sha256Hasher
from proxy.core.errors import StorageTrouble, UpstreamBroken
from proxy.services.downloads import hold_back
from proxy.services.resuming import open_resuming

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from proxy.core.model import File
    from proxy.core.ranges import ByteRange
    from proxy.ports import Upstream
    from proxy.services.downloads import Download

logger = logging.getLogger(__name__)


async def follow(
    download: Download, upstream: Upstream, wanted: ByteRange | None = None
) -> AsyncGenerator[bytes, None]:
    """The bytes (of a range) that `download` brings and, where the disk fails it, the rest from the upstream itself.

    Whoever follows holds it meanwhile. Raises NotFound, UpstreamTrouble, the last byte of a whole file still to come.
    """
    offset = wanted.first if wanted else 0
    try:
        async with aclosing(download.follow(wanted)) as chunks:
            async for chunk in chunks:
                offset += len(chunk)
                yield chunk
    except StorageTrouble as error:
        logger.warning("%s is passed on and not kept: %s", download.file.file.filename, error)
    else:
        return
    rest = _rest_of_range(download, upstream, offset, wanted) if wanted else _rest_of_whole(download, upstream, offset)
    async with aclosing(rest) as chunks:
        async for chunk in chunks:
            yield chunk


async def _rest_of_range(
    download: Download, upstream: Upstream, offset: int, wanted: ByteRange
) -> AsyncGenerator[bytes, None]:
    """As far as it goes of all that is left of the file: so it comes from an upstream without ranges too."""
    left = wanted.last + 1 - offset
    async with open_resuming(upstream, _promised(download), first=offset) as body:
        async for chunk in body.chunks:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return


async def _rest_of_whole(download: Download, upstream: Upstream, offset: int) -> AsyncGenerator[bytes, None]:
    """The rest from `offset`, its last bytes when the digest of the whole agrees."""
    file, hasher = _promised(download), await _hash_start(download, offset)
    position = offset if hasher else 0
    hasher = hasher or Sha256Hasher()
    async with open_resuming(upstream, file, first=position) as body:
        held, held_back = b"", hold_back(download.length)
        async for chunk in body.chunks:
            hasher.update(chunk)
            held += chunk[max(0, offset - position) :]
            position += len(chunk)
            if len(held) > held_back:
                yield held[:-held_back]
                held = held[-held_back:]
    if hasher.digests().sha256 != file.sha256:
        raise UpstreamBroken(f"{file.filename}: the upstream sent other bytes than its page promises")
    if held:
        yield held


def _promised(download: Download) -> File:
    """The file with the length that the client was promised: it must not get one byte more."""
    return replace(download.file.file, size=download.length)


async def _hash_start(download: Download, size: int) -> Sha256Hasher | None:
    """A hasher that has seen what the client has had; None where the disk does not give it back."""
    hasher, offset = Sha256Hasher(), 0
    try:
        while offset < size:
            chunk = await download.read(offset, size - offset)
            hasher.update(chunk)
            offset += len(chunk)
    except StorageTrouble:
        return None
    return hasher
