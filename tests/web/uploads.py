"""The legacy upload form, as twine sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import parse_sdist_filename, parse_wheel_filename

from tests.web.server import Part

if TYPE_CHECKING:
    from tests.builders import BuiltFile
    from tests.web.server import Answer, Server

CREATED = {"message": "201 Created"}
TAKEN = "400 Bad request - Validation failed: File name has already been taken"


def form(built: BuiltFile, **fields: str | None) -> list[Part]:
    """The form of a distribution, the file last; `fields` are further ones, or other values (None: left out)."""
    wheel = built.filename.endswith(".whl")
    name, version = parse_wheel_filename(built.filename)[:2] if wheel else parse_sdist_filename(built.filename)
    said: dict[str, str | None] = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.3",
        "name": name,
        "version": str(version),
        "filetype": "bdist_wheel" if wheel else "sdist",
        "sha256_digest": built.sha256,
    }
    texts = [Part(field, value.encode()) for field, value in (said | fields).items() if value is not None]
    return [*texts, content(built)]


def content(built: BuiltFile, filename: str | None = None) -> Part:
    return Part("content", built.data, built.filename if filename is None else filename)


async def upload(server: Server, built: BuiltFile, *, to: str = "/legacy/", **headers: str) -> Answer:
    """What the server says to the upload."""
    return await server.post(to, form(built), **headers)


async def publish(server: Server, *files: BuiltFile, to: str = "/legacy/", **headers: str) -> None:
    """Upload the files; they must be taken."""
    for built in files:
        answer = await upload(server, built, to=to, **headers)
        assert answer.status == 201, answer
