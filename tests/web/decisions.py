"""Every way to a name and to a file's bytes: one decision must hold on all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.web.server import JSON

if TYPE_CHECKING:
    from tests.fake_index import File
    from tests.web.server import Answer, Server

NOT_FOUND = {"message": "404 Package Not Found"}


async def ask_in_every_way(server: Server, prefix: str, project: str, file: File) -> list[Answer]:
    """The page, and the file by each request that could bring its bytes."""
    link = f"{prefix}/files/{file.sha256}/{file.filename}"
    return [
        await server.get(f"{prefix}/simple/{project}/", Accept=JSON),
        await server.get(link),
        await server.get(f"{link}.metadata"),
        await server.get(link, Range="bytes=0-9"),
        await server.get(link, If_None_Match="*"),
        await server.head(link),
    ]


async def check_absent(server: Server, prefix: str, project: str, file: File) -> None:
    for answer in await ask_in_every_way(server, prefix, project, file):
        assert answer.status == 404, answer


async def check_hidden(server: Server, project: str, *hidden: File) -> None:
    """The page is there without these files, and nothing else brings them."""
    page = await server.page(f"/simple/{project}/")
    for file in hidden:
        assert file.filename not in page.filenames
        assert file.version not in page.versions
        for answer in (await ask_in_every_way(server, "", project, file))[1:]:
            assert answer.status == 404, answer


async def check_shown(server: Server, project: str, *shown: File) -> None:
    assert (await server.page(f"/simple/{project}/")).filenames == [file.filename for file in shown]
    for file in shown:
        assert (await server.get(f"/files/{file.sha256}/{file.filename}")).body == file.data
