"""Files and their companions, core metadata and provenance: the routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from proxy.core.digests import Sha256, parse_sha256, sha256_of
from proxy.core.errors import InvalidInput, NotFound
from proxy.core.names import Filename, parse_filename
from proxy.core.provenance import CONTENT_TYPE
from proxy.services.files import FILE_NOT_FOUND, Stored
from proxy.web.caller import caller_of, privately
from proxy.web.conditional import not_modified
from proxy.web.patience import patience
from proxy.web.sending import send
from proxy.web.site import SITE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.services.files import Found
    from proxy.web.scopes import FindScope


class _Named(NamedTuple):
    """What the path of a file names."""

    sha256: Sha256
    filename: Filename


def file(find_scope: FindScope) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of `…/files/{sha256}/{filename}`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        scope, caller, named = find_scope(request), caller_of(request), _parse(request)
        async with patience(request):
            found = await request[SITE].files.find(caller, scope, *named)
            _note_download(request, found)
            return await send(request, caller, found)

    return handle


def metadata(find_scope: FindScope) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of `…/files/{sha256}/{filename}.metadata` (PEP 658)."""

    async def handle(request: web.Request) -> web.StreamResponse:
        scope, caller, named = find_scope(request), caller_of(request), _parse(request)
        async with patience(request):
            return await send(request, caller, await request[SITE].files.find_metadata(caller, scope, *named))

    return handle


def provenance(find_scope: FindScope) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of `…/files/{sha256}/{filename}.provenance` (PEP 740)."""

    async def handle(request: web.Request) -> web.StreamResponse:
        scope, caller, named = find_scope(request), caller_of(request), _parse(request)
        async with patience(request):
            body, status = await request[SITE].files.find_provenance(caller, scope, *named)
        headers = {
            "Cache-Control": privately(caller, "no-cache"),
            "Cache-Status": status.header,
            "ETag": f'"{sha256_of(body)}"',
            "X-Content-Type-Options": "nosniff",
        }
        if not_modified(request, headers["ETag"]):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers, content_type=CONTENT_TYPE)

    return handle


def _note_download(request: web.Request, found: Found) -> None:
    if request.method == "GET" and isinstance(found, Stored) and found.release is not None:
        request[SITE].download_times.note(found.release)


def _parse(request: web.Request) -> _Named:
    """A path that can name no file is answered like a file that is not there; raises NotFound."""
    try:
        return _Named(
            parse_sha256(request.match_info["sha256"]),
            parse_filename(request.match_info["filename"]),
        )
    except InvalidInput as error:
        raise NotFound(FILE_NOT_FOUND) from error
