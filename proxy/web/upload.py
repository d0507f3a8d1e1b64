"""The upload API (legacy form, GitLab's routes): fields into a bounded form, the file straight into a part."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError

from proxy.core.errors import InvalidUpload
from proxy.core.upload import UploadForm
from proxy.web.caller import caller_of
from proxy.web.credentials import check_no_browser
from proxy.web.expect import ask_for_body
from proxy.web.pace import Pace
from proxy.web.site import SITE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.multipart import MultipartReader

    from proxy.services.publish import Upload
    from proxy.web.scopes import FindProject

MAX_FIELDS = 4096
"""As many as Rack takes, so GitLab; a form has some hundred at most, nearly all of them requirements."""
MAX_FORM = 16 * 1024 * 1024
"""Bytes of all fields together, names included; the file is not among them."""
PATIENCE = 60.0
"""Seconds for which an upload may pause: as long as reverse proxies wait."""
MIN_RATE = 1000.0
"""Bytes a second below which it does not count as coming: a wheel of 1 MB would take a quarter of an hour."""
_FILE_FIELD = "content"
_CHUNK = 256 * 1024
_VALUE_CHUNK = 16 * 1024
"""Less than for the file: what is read beyond a field's end is put back, field by field."""
_TURN = 100
"""Fields, some tens of milliseconds, after which other requests have their turn."""


def upload(find_project: FindProject) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of `POST …/packages/pypi`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        check_no_browser(request)
        project = find_project(request)
        publisher = request[SITE].publisher
        async with publisher.receive(caller_of(request), project) as received:
            form = await _read_form(request, received)
            await publisher.publish(received, form)
        return web.json_response({"message": "201 Created"}, status=201)

    return handle


def authorize(find_project: FindProject) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of `POST …/packages/pypi/authorize`: the same permission check, with no body."""

    async def handle(request: web.Request) -> web.StreamResponse:
        check_no_browser(request)
        project = find_project(request)
        request[SITE].publisher.authorize(caller_of(request), project)
        return web.json_response({})

    return handle


async def _read_form(request: web.Request, received: Upload) -> UploadForm:
    """The form, its file written to the part on the way; raises InvalidUpload."""
    if request.content_type != "multipart/form-data":
        raise InvalidUpload("the body must be multipart/form-data")
    if "Content-Encoding" in request.headers:
        raise InvalidUpload("the body must not be compressed")
    await ask_for_body(request)
    try:
        return await _FormReader(received, Pace(request.content, PATIENCE, MIN_RATE)).read(await request.multipart())
    except (ValueError, AssertionError, LookupError, HttpProcessingError, web.RequestPayloadError) as error:
        raise InvalidUpload("the form is malformed") from error


class _FormReader:
    """Reads one form within its bounds."""

    def __init__(self, received: Upload, pace: Pace) -> None:
        self._received = received
        self._pace = pace
        self._fields: dict[str, list[str]] = {}
        self._filename: str | None = None
        self._count = 0
        self._room = MAX_FORM

    async def read(self, multipart: MultipartReader) -> UploadForm:
        while (part := await self._next(multipart)) is not None:
            if not isinstance(part, BodyPartReader):
                raise InvalidUpload("a form has no nested parts")
            self._count += 1
            if self._count > MAX_FIELDS:
                raise InvalidUpload(f"the form has more than {MAX_FIELDS} fields")
            if self._count % _TURN == 0:
                await asyncio.sleep(0)
            await self._read_part(part)
        fields = {name: tuple(values) for name, values in self._fields.items()}
        return UploadForm(fields, self._filename)

    async def _next(self, multipart: MultipartReader) -> MultipartReader | BodyPartReader | None:
        try:
            return await self._pace.wait(multipart.next())
        except RuntimeError as error:  # aiohttp's, for a `_charset_` that is none
            raise InvalidUpload("the form is malformed") from error

    async def _read_part(self, part: BodyPartReader) -> None:
        name = part.name or ""
        if name == _FILE_FIELD and part.filename is not None:
            await self._read_file(part)
            return
        value = await self._read_value(part, name)
        if part.filename is None:  # any other file part (a signature, say) is accepted and not kept
            self._fields.setdefault(name, []).append(value)

    async def _read_file(self, part: BodyPartReader) -> None:
        if self._filename is not None:
            raise InvalidUpload("the form has more than one content")
        self._filename = part.filename
        while chunk := await self._pace.wait(part.read_chunk(_CHUNK)):
            await self._received.write(chunk)

    async def _read_value(self, part: BodyPartReader, name: str) -> str:
        value = bytearray()
        self._take(len(name))
        while chunk := await self._pace.wait(part.read_chunk(_VALUE_CHUNK)):
            self._take(len(chunk))
            value += chunk
        return value.decode(errors="replace")

    def _take(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise InvalidUpload(f"the form's fields are over {MAX_FORM} bytes")
