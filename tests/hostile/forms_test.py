"""Upload forms and archives that are made to hurt: refused in words, and nothing of them stays."""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from proxy.compose import compose_store
from proxy.core.model import ProjectStatus, Status
from proxy.core.names import parse_project_name
from proxy.web import upload
from tests.builders import BuiltFile, build_metadata, build_sdist, build_wheel
from tests.core.archives import ZipMember, crafted_zip, zip_of
from tests.fake_index import Status as AnswerWith
from tests.web.server import HTML, JSON, TEXT, Part, eventually, kept_by
from tests.web.uploads import form, publish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.fake_index import FakeIndex
    from tests.hostile.bounded import BoundedServer

WHEEL = build_wheel("demo", "1.0")
NOTHING = {"blobs": 0, "parts": 0}
BOUNDARY = b"a-line-that-no-part-has"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
MIB = 1024 * 1024


def part(disposition: str, value: bytes) -> bytes:
    return b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (BOUNDARY, disposition.encode(), value)


def fields_of(parts: list[Part]) -> bytes:
    return b"".join(part(f'name="{each.name}"', each.value) for each in parts)


FIELDS = fields_of(form(WHEEL)[:-1])
FILE = part(f'name="content"; filename="{WHEEL.filename}"', WHEEL.data)
END = b"--%b--\r\n" % BOUNDARY


async def repeated(piece: bytes, times: int) -> AsyncIterator[bytes]:
    """Much of the same, a megabyte at a time."""
    batch = max(1, MIB // len(piece))
    for start in range(0, times, batch):
        yield piece * min(batch, times - start)


FLOODS: dict[str, Callable[[], AsyncIterator[bytes]]] = {
    "a million fields": lambda: repeated(part('name="classifiers"', b"x"), 1_000_000),
    "a field without end": lambda: repeated(part('name="description"', b"x" * 1000)[:-2] * 60, 1000),
    "a field's name without end": lambda: repeated(
        b"--%b\r\nContent-Disposition: form-data; name=" % BOUNDARY, 400_000
    ),
    "parts without a name": lambda: repeated(b"--%b\r\n\r\nx\r\n" % BOUNDARY, 1_000_000),
    "a line without end": lambda: repeated(b"x", 40 * MIB),
}


@pytest.mark.filterwarnings("ignore:unread_data:DeprecationWarning")  # aiohttp warns of what it calls itself
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_a_flood_is_refused_before_much_of_it_is_read(
    server: BoundedServer, monkeypatch: pytest.MonkeyPatch, flood: Callable[[], AsyncIterator[bytes]]
) -> None:
    monkeypatch.setattr(upload, "MAX_FIELDS", 1000)
    sent: list[int] = []
    async with server.connect() as client:
        head = f"POST /legacy/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {FORM['Content-Type']}\r\n"
        await client.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        sending = asyncio.create_task(send_chunks(client.writer, flood(), sent))
        assert (await client.answer()).status == 400
        assert sum(sent) <= upload.MAX_FORM + 12 * MIB  # the kernel's buffers take some
        sending.cancel()
    await eventually(lambda: kept_by(server.data_dir) == NOTHING)


async def send_chunks(writer: asyncio.StreamWriter, pieces: AsyncIterator[bytes], sent: list[int]) -> None:
    with suppress(ConnectionError):
        async for piece in pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            sent.append(len(piece))


BROKEN = {
    "no last boundary": FIELDS + FILE,
    "a last boundary cut short": FIELDS + FILE + END[:-4],
    "the file cut short": FIELDS + FILE[:-300] + b"\r\n" + END,
    "a file of no end, then fields": FILE[:-2] + FIELDS + END,
    "two files": FIELDS + FILE + FILE + END,
    "a charset that is none": part('name="_charset_"', b"x" * 40) + FIELDS + FILE + END,
    "two names": FIELDS + part('name="name"', b"other") + FILE + END,
    "two versions": part('name="version"', b"2.0") + FIELDS + FILE + END,
    "the name as a file": FIELDS.replace(b'name="name"', b'name="name"; filename="x"') + FILE + END,
    "a nested form": FIELDS
    + FILE.replace(b"\r\n\r\n", b"\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n", 1)
    + END,
    "a file that is encoded": FIELDS
    + FILE.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", 1)[:-400]
    + END,
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
async def test_a_form_that_is_not_whole_or_says_two_things_is_400(server: BoundedServer, body: bytes) -> None:
    assert (await server.ask("POST", "/legacy/", FORM, body)).status == 400
    await eventually(lambda: kept_by(server.data_dir) == NOTHING)


async def test_the_file_may_come_before_the_fields(server: BoundedServer) -> None:
    assert (await server.ask("POST", "/legacy/", FORM, FILE + FIELDS + END)).status == 201
    assert (await server.get(f"/files/{WHEEL.sha256}/{WHEEL.filename}")).body == WHEEL.data


@pytest.mark.parametrize("length", [0, 10, len(FIELDS)])
async def test_a_length_that_is_too_short_takes_nothing_in(server: BoundedServer, length: int) -> None:
    head = f"POST /legacy/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {FORM['Content-Type']}\r\n"
    answer = await server.raw(f"{head}Content-Length: {length}\r\n\r\n".encode() + FIELDS + FILE + END)
    assert answer.status == 400
    await eventually(lambda: kept_by(server.data_dir) == NOTHING)


INFO = b"demo-1.0.dist-info/"
COMPANIONS = [ZipMember(INFO + b"WHEEL", b"Wheel-Version: 1.0\n"), ZipMember(INFO + b"RECORD")]
METADATA = ZipMember(INFO + b"METADATA", WHEEL.metadata)
HUGE: dict[str, int | bytes] = {"size": 2**32 - 2}
WIDE: dict[str, int | bytes] = {"size": 2**32 - 1, "extra": struct.pack("<2HQ", 1, 8, 2**40)}
ARCHIVES = {
    "metadata of 4 GB": crafted_zip(ZipMember(METADATA.name, METADATA.data, HUGE, HUGE), *COMPANIONS),
    "metadata of a terabyte": crafted_zip(ZipMember(METADATA.name, METADATA.data, WIDE, WIDE), *COMPANIONS),
    "metadata of 17 MiB": zip_of({(INFO + b"METADATA").decode(): WHEEL.metadata + b"x" * 17 * MIB}),
    "metadata twice": crafted_zip(METADATA, METADATA, *COMPANIONS),
    "metadata of two projects": crafted_zip(METADATA, ZipMember(b"other-1.0.dist-info/METADATA"), *COMPANIONS),
    "metadata of another name": crafted_zip(ZipMember(METADATA.name, build_metadata("other", "1.0")), *COMPANIONS),
    "metadata in another case": crafted_zip(ZipMember(INFO + b"metadata", WHEEL.metadata), *COMPANIONS),
    "metadata in place of a directory": crafted_zip(ZipMember(METADATA.name + b"/"), *COMPANIONS),
    "a member of all the others' bytes": crafted_zip(
        METADATA, *COMPANIONS, ZipMember(b"quine", b"1" * 50, central={"offset": 0})
    ),
    "a directory of another archive": crafted_zip(METADATA, *COMPANIONS, comment=crafted_zip(METADATA)),
    "a locked member": crafted_zip(METADATA, *COMPANIONS, ZipMember(b"x", b"1", {"flags": 1}, {"flags": 1})),
    "a way out": crafted_zip(METADATA, *COMPANIONS, ZipMember(b"demo/../../x")),
    "a way out on windows": crafted_zip(METADATA, *COMPANIONS, ZipMember(b"C:\\x")),
}


@pytest.mark.parametrize("data", ARCHIVES.values(), ids=ARCHIVES)
async def test_a_wheel_that_is_made_to_hurt_is_400(server: BoundedServer, data: bytes) -> None:
    bad = BuiltFile(WHEEL.filename, data, "", b"")
    answer = await server.post("/legacy/", form(bad, sha256_digest=None))
    assert (answer.status, answer.message.startswith("400 Bad request - ")) == (400, True)
    await eventually(lambda: kept_by(server.data_dir) == NOTHING)


async def test_what_lies_in_an_archive_is_not_opened(server: BoundedServer) -> None:
    bomb = zip_of({"zeros": bytes(20 * MIB)})
    await publish(server, build_sdist("demo", "1.0", extra_members={"bomb.zip": bomb, "x.tar.gz": b"\x1f\x8b"}))


# What is rendered

BREAKOUTS = [
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    "</title><base href=//evil>",
    "\0\x1b[2J\r\nX: y",
]


@pytest.mark.parametrize("text", BREAKOUTS)
async def test_what_a_publisher_writes_stays_text(server: BoundedServer, text: str) -> None:
    answer = await server.post("/legacy/", form(WHEEL, summary=text, description=text, author=text, keywords=text))
    assert answer.status == 201
    demo = parse_project_name("demo")
    async with compose_store(server.config) as store:
        (file,) = await store.list_files((1,), demo)
        await store.save_yank([file.id], text)
        await store.save_status(1, demo, ProjectStatus(Status.ARCHIVED, text))
    for accept in (TEXT, HTML):
        page = await server.get("/simple/demo/", Accept=accept)
        for hostile in (b"<script", b"<base", b"' onmouseover='", b"\0"):
            assert hostile not in page.body
        assert "X" not in page.headers
    assert (await server.page("/simple/demo/")).files[0].yanked == text


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//evil.example/x"])
async def test_no_link_of_an_upstream_is_passed_on(server: BoundedServer, index: FakeIndex, link: str) -> None:
    index.add_built("demo", WHEEL)
    good = {"filename": WHEEL.filename, "url": f"/{WHEEL.filename}", "hashes": {"sha256": WHEEL.sha256}}
    files = [good, good | {"filename": "demo-1.1.tar.gz", "url": link}]
    page = json.dumps({"meta": {"api-version": "1.1"}, "name": "demo", "files": files})
    index.fault(AnswerWith(200, {"Content-Type": JSON}, page.encode()), "/simple/demo/")
    for accept in (TEXT, HTML, JSON):
        answer = await server.get("/simple/demo/", Accept=accept)
        assert (answer.status, WHEEL.filename.encode() in answer.body) == (200, True)
        assert link.encode() not in answer.body
