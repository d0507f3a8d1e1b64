"""How the bytes of a file leave: from the blobs by sendfile, those of a cold file as they arrive.

An answer begins when its first byte is here: what fails before is an error with a message. What fails after breaks the
connection, since a client must not take it for the end.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, assert_never

from aiohttp import web

from proxy.core import cache_status
from proxy.core.digests import sha256_of
from proxy.core.errors import SidecarError
from proxy.core.ranges import parse_range
from proxy.ports import Blob
from proxy.services.files import Cold, Stored, Unkept
from proxy.web.caller import privately
from proxy.web.conditional import not_modified, range_applies
from proxy.web.patience import first_byte_is_here
from proxy.web.sendfile import send_file
from proxy.web.site import BROKEN_OFF, SITE
from proxy.web.warm import STANDING, Standing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from io import BufferedReader
    from pathlib import Path

    from proxy.core.access import Principal
    from proxy.core.cache_status import CacheStatus
    from proxy.core.digests import Sha256
    from proxy.core.ranges import ByteRange
    from proxy.services.downloads import Download
    from proxy.services.files import Found
    from proxy.web.site import Site

logger = logging.getLogger(__name__)

MAX_SMALL = 64 * 1024
"""Bytes of a file that is read and sent as a page is: what sendfile spares costs more than that."""
_CACHE_FOR_EVER = "max-age=31536000, immutable"


async def send(request: web.Request, caller: Principal, found: Found) -> web.StreamResponse:
    """Answer with a file; raises what fetching a cold one raises, before the answer begins."""
    match found:
        case Stored():
            return await _send_blob(request, caller, found)
        case Cold():
            return await _send_cold(request, caller, found)
        case Unkept():
            return await _send_unkept(request, caller, found)
    assert_never(found)


async def _send_blob(request: web.Request, caller: Principal, found: Stored) -> web.StreamResponse:
    """From the blob; where that cannot be opened, from where its bytes came."""
    headers = _headers(caller, found.blob.sha256, found.cache_status)
    if not_modified(request, headers["ETag"]):
        return web.Response(status=304, headers=headers)
    try:
        if found.blob.size <= MAX_SMALL and request.method == "GET" and "Range" not in request.headers:
            return _answer_small(request, headers, found, await asyncio.to_thread(_read_small, found.blob))
        source = await _open(found.blob.path)
    except OSError as error:
        logger.warning("a stored file cannot be read: %r", error)
        return await send(request, caller, await request[SITE].files.find_anew(found))
    try:
        with request[SITE].cache_uses.serving(found.blob):
            return await _send_open(request, headers, source, found.blob.size)
    finally:
        source.close()


def _read_small(blob: Blob) -> bytes:
    """A small file whole. Reading it all, it costs nothing to compare it with its digest; raises OSError."""
    data = blob.path.read_bytes()
    if sha256_of(data) != blob.sha256:
        raise OSError(errno.EIO, "a stored file has other bytes than its digest says")
    return data


def _answer_small(request: web.Request, headers: dict[str, str], found: Stored, data: bytes) -> web.Response:
    first_byte_is_here(request)
    site = request[SITE]
    site.cache_uses.note(found.blob)
    if found.grounds is not None and found.cache_status in {cache_status.HIT, cache_status.LOCAL}:
        request[STANDING] = Standing(found.grounds, data, found.cache_status, partial(_note_use, site, found))
    return web.Response(body=data, headers=headers)


def _note_use(site: Site, found: Stored) -> None:
    """The file was given once more."""
    site.cache_uses.note(found.blob)
    if found.release is not None:
        site.download_times.note(found.release)


async def _open(path: Path) -> BufferedReader:
    """On a thread; whoever is cancelled meanwhile leaves no file open."""
    opening = asyncio.create_task(asyncio.to_thread(path.open, "rb"))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: asyncio.Task[BufferedReader]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


async def _send_open(
    request: web.Request, headers: dict[str, str], source: BufferedReader, size: int
) -> web.StreamResponse:
    wanted = _range(request, headers["ETag"], size)
    response = _begin(headers, wanted, size)
    if request.method == "HEAD":
        return await _end(request, response)
    first_byte_is_here(request)
    try:
        await response.prepare(request)
        await _send_file(request, source, *((wanted.first, wanted.length) if wanted else (0, size)))
        await response.write_eof()
    except (OSError, EOFError) as error:
        _break_off(request, error)
    return response


async def _send_file(request: web.Request, source: BufferedReader, first: int, length: int) -> None:
    """By sendfile(2): the kernel copies, no byte passes through here. Raises EOFError where the file ends early."""
    if request.transport is None or request.transport.is_closing():
        raise ConnectionResetError("the client is gone")
    if await send_file(request.transport, source, first, length) != length:
        raise EOFError("a stored file has lost bytes")


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
                return await _send_blob(request, caller, Stored(part, cache_status.HIT, source=cold.file))
            return await _relay(request, part, lambda: _begin(headers, wanted, size))
    async with files.fetch(cold) as fetched:
        if isinstance(fetched, Blob):
            return await _send_blob(request, caller, Stored(fetched, cache_status.HIT, source=cold.file))
        wanted = wanted if fetched.length == size else None
        return await _relay(request, files.follow(fetched), lambda: _begin_fetched(caller, fetched, wanted))


async def _send_unkept(request: web.Request, caller: Principal, found: Unkept) -> web.StreamResponse:
    headers = _headers(caller, found.sha256, cache_status.PASSED)
    if not_modified(request, headers["ETag"]):
        return web.Response(status=304, headers=headers)
    wanted = _range(request, headers["ETag"], len(found.data))
    response = _begin(headers, wanted, len(found.data))
    if request.method == "HEAD":
        return await _end(request, response)
    first_byte_is_here(request)
    await response.prepare(request)
    await response.write(found.data[wanted.first : wanted.last + 1] if wanted else found.data)
    await response.write_eof()
    return response


async def _relay(
    request: web.Request, chunks: AsyncGenerator[bytes, None], begin: Callable[[], web.StreamResponse]
) -> web.StreamResponse:
    """Send bytes as they come; raises what fails before the first, and what fails later breaks the connection."""
    async with aclosing(chunks):
        chunk = await anext(chunks, None)
        first_byte_is_here(request)
        response = begin()
        try:
            await response.prepare(request)
            while chunk is not None:
                await response.write(chunk)
                chunk = await anext(chunks, None)
            await response.write_eof()
        except (SidecarError, ConnectionError) as error:
            _break_off(request, error)
    return response


def _break_off(request: web.Request, error: Exception) -> None:
    """End an answer that was begun and cannot be finished, or whose client is gone."""
    if not isinstance(error, SidecarError | ConnectionError):  # an upstream's trouble was logged where it arose
        logger.warning("an answer is broken off: %r", error)
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


def _begin_fetched(caller: Principal, fetched: Download, wanted: ByteRange | None) -> web.StreamResponse:
    status = cache_status.PASSED if fetched.failed else cache_status.STORED
    return _begin(_headers(caller, fetched.file.file.sha256, status), wanted, fetched.length)


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
