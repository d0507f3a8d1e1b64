"""How the bytes of a file leave: from the blobs by sendfile, those of a cold file as they arrive."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from aiohttp import web

from proxy.core import cache_status
from proxy.core.errors import SidecarError
from proxy.core.ranges import parse_range
from proxy.ports import Blob
from proxy.services.files import Cold, Stored
from proxy.web.caller import privately
from proxy.web.conditional import not_modified, range_applies
from proxy.web.site import BROKEN_OFF, SITE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from io import BufferedReader

    from proxy.core.access import Principal
    from proxy.core.cache_status import CacheStatus
    from proxy.core.digests import Sha256
    from proxy.core.ranges import ByteRange
    from proxy.services.files import Found

_CACHE_FOR_EVER = "max-age=31536000, immutable"


async def send(request: web.Request, caller: Principal, found: Found) -> web.StreamResponse:
    """Answer with a file; raises what fetching a cold one raises, before the answer begins."""
    if isinstance(found, Stored):
        return await _send_blob(request, caller, found.blob, found.cache_status)
    return await _send_cold(request, caller, found)


async def _send_blob(request: web.Request, caller: Principal, blob: Blob, status: CacheStatus) -> web.StreamResponse:
    headers = _headers(caller, blob.sha256, status)
    if not_modified(request, headers["ETag"]):
        return web.Response(status=304, headers=headers)
    wanted = _range(request, headers["ETag"], blob.size)
    response = _begin(headers, wanted, blob.size)
    if request.method == "HEAD":
        return await _end(request, response)
    source = await asyncio.to_thread(blob.path.open, "rb")
    try:
        await response.prepare(request)
        await _send_file(request, source, *((wanted.first, wanted.length) if wanted else (0, blob.size)))
        await response.write_eof()
    except ConnectionError:
        _break_off(request)
    finally:
        source.close()
    return response


async def _send_file(request: web.Request, source: BufferedReader, first: int, length: int) -> None:
    """By sendfile(2): the kernel copies, no byte passes through here."""
    if request.transport is None:
        raise ConnectionResetError("the client is gone")
    if length:
        await asyncio.get_running_loop().sendfile(request.transport, source, first, length)


async def _send_cold(request: web.Request, caller: Principal, cold: Cold) -> web.StreamResponse:
    """A file that is not here: `HEAD` without its body, a range relayed, the whole cached while it is sent."""
    files = request[SITE].files
    headers = _headers(caller, cold.file.file.sha256, cache_status.PASSED)
    if not_modified(request, headers["ETag"]):
        return web.Response(status=304, headers=headers)
    size, wanted = cold.size, None
    if request.method == "HEAD" or "Range" in request.headers:
        size = await files.size(cold)
        wanted = _range(request, headers["ETag"], size) if size is not None else None
    if request.method == "HEAD":
        return await _end(request, _begin(headers, wanted, size))
    if wanted is not None and wanted.length != size:
        async with files.fetch_range(cold, wanted) as part:
            if isinstance(part, Blob):
                return await _send_blob(request, caller, part, cache_status.HIT)
            return await _relay(request, _begin(headers, wanted, size), part)
    async with files.fetch(cold) as fetched:
        if isinstance(fetched, Blob):
            return await _send_blob(request, caller, fetched, cache_status.HIT)
        headers = _headers(caller, cold.file.file.sha256, cache_status.STORED)
        wanted = wanted if fetched.length == size else None
        return await _relay(request, _begin(headers, wanted, fetched.length), fetched.follow())


async def _relay(
    request: web.Request, response: web.StreamResponse, chunks: AsyncGenerator[bytes, None]
) -> web.StreamResponse:
    """Send bytes as they come. Trouble on the way breaks the connection: the client must not take it for the end."""
    try:
        async with aclosing(chunks):
            await response.prepare(request)
            async for chunk in chunks:
                await response.write(chunk)
        await response.write_eof()
    except (SidecarError, ConnectionError):  # an upstream's trouble was logged where it arose
        _break_off(request)
    return response


def _break_off(request: web.Request) -> None:
    """End an answer that was begun and cannot be finished, or whose client is gone."""
    request[BROKEN_OFF] = True
    if request.transport is not None:
        request.transport.abort()


def _headers(caller: Principal, sha256: Sha256, status: CacheStatus) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": privately(caller, _CACHE_FOR_EVER),
        "Cache-Status": status.header,
        "Content-Disposition": "attachment",
        "Content-Type": "application/octet-stream",
        "ETag": f'"{sha256}"',
        "X-Content-Type-Options": "nosniff",
    }


def _range(request: web.Request, etag: str, size: int) -> ByteRange | None:
    header = request.headers.get("Range")
    return parse_range(header, size) if range_applies(request, etag) else None


def _begin(headers: dict[str, str], wanted: ByteRange | None, size: int | None) -> web.StreamResponse:
    response = web.StreamResponse(status=206 if wanted else 200, headers=headers)
    if wanted is not None and size is not None:
        response.headers["Content-Range"] = wanted.content_range(size)
        response.content_length = wanted.length
    elif size is not None:
        response.content_length = size
    return response


async def _end(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """An answer without a body."""
    await response.prepare(request)
    await response.write_eof()
    return response
