"""A disk that takes no more: forwarding goes on without caching, nothing half-written stays, caching resumes.

The disk of these tests fails where parts are written; one that is really full is an end-to-end test's.
"""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

import aiohttp
import pytest

from proxy.core.digests import sha256_of
from proxy.disk import parts
from proxy.disk.files import write_all
from proxy.web import patience
from tests.builders import build_wheel
from tests.fake_index import POOR, PYPI, Gate, WrongBytes
from tests.web.cold_files_test import read_all
from tests.web.server import JSON, eventually, forwards_to, kept_by
from tests.web.uploads import upload

if TYPE_CHECKING:
    from tests.fake_index import Dialect, FakeIndex, File
    from tests.web.server import MakeServer, Server

NOTHING = {"blobs": 0, "parts": 0}
FROM_THE_START, ON_THE_WAY = 0, 60_000


class Disk:
    """`room` bytes more find room (None: all); what does not fails with `code`."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.code = errno.ENOSPC

    def write(self, fd: int, data: bytes) -> None:
        if self.room is not None:
            self.room -= len(data)
            if self.room < 0:
                raise OSError(self.code, "the disk")
        write_all(fd, data)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(parts, "write_all", disk.write)
    return disk


@pytest.fixture
def file(index: FakeIndex) -> File:
    return index.add_wheel("demo-pkg", "1.0", size_padding=100_000)


def link(file: File) -> str:
    return f"/files/{file.sha256}/{file.filename}"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
async def test_whatever_the_disk_says_files_are_passed_on(
    server: Server, index: FakeIndex, disk: Disk, file: File, code: int
) -> None:
    disk.room, disk.code = FROM_THE_START, code
    for path, data in ((link(file), file.data), (f"{link(file)}.metadata", file.metadata)):
        answer = await server.get(path)
        assert (answer.status, answer.body) == (200, data)
        assert answer.headers["Cache-Status"] == "pypi-sidecar; fwd=miss"
    assert (await server.get("/simple/demo-pkg/", Accept=JSON)).page.filenames == [file.filename]
    await eventually(lambda: kept_by(server.data_dir) == NOTHING)
    await index.down()
    assert (await server.get(link(file))).status == 503


@pytest.mark.parametrize("room", [FROM_THE_START, ON_THE_WAY])
@pytest.mark.parametrize("wanted", [None, "bytes=1000-89999"], ids=["whole", "range"])
@pytest.mark.parametrize("dialect", [PYPI, POOR], ids=["size known", "size unknown"])
async def test_who_follows_a_download_is_led_past_the_disk(
    make_server: MakeServer, index: FakeIndex, disk: Disk, dialect: Dialect, wanted: str | None, room: int
) -> None:
    index.dialect = dialect
    server = await make_server(forwards_to(index))
    file = index.add_wheel("demo-pkg", "1.0", size_padding=100_000)
    disk.room = room
    gate = index.fault(Gate(after=50_000), "*.whl", method="GET", times=1)
    first = asyncio.create_task(server.get(link(file)))
    await gate.waiting()
    second = asyncio.create_task(server.get(link(file), **({"Range": wanted} if wanted else {})))
    gate.open()
    assert (await first).body == file.data
    assert (await second).body == (file.data[1000:90_000] if wanted else file.data)
    await eventually(lambda: kept_by(server.data_dir) == NOTHING)


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
async def test_the_rest_alone_is_fetched_again_where_that_can_be_had(
    make_server: MakeServer, index: FakeIndex, disk: Disk, file: File, *, ranges: bool
) -> None:
    index.dialect = PYPI if ranges else POOR
    server = await make_server(forwards_to(index))
    gate = index.fault(Gate(after=50_000), "*.whl", times=1)
    disk.room = ON_THE_WAY
    async with server.open("GET", link(file)) as response:
        had = await response.content.readexactly(40_000)
        gate.open()
        assert had + await response.read() == file.data
    if ranges:
        assert int(index.requests[-1].headers["Range"].removeprefix("bytes=").removesuffix("-")) >= 40_000


async def test_a_disk_that_does_not_even_give_back_what_was_written_to_it(
    server: Server, index: FakeIndex, disk: Disk, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = index.fault(Gate(after=50_000), "*.whl", times=1)
    async with server.open("GET", link(file)) as response:
        had = await response.content.readexactly(40_000)

        def read(*_: object) -> bytes:
            raise OSError(errno.EIO, "the disk")

        monkeypatch.setattr(parts.DiskPart, "_read", read)
        disk.room, disk.code = 0, errno.EIO
        gate.open()
        assert had + await response.read() == file.data


@pytest.mark.parametrize("room", [FROM_THE_START, ON_THE_WAY])
async def test_many_at_once_each_get_the_whole(server: Server, index: FakeIndex, disk: Disk, room: int) -> None:
    file = index.add_wheel("large", "1.0", size_padding=1_000_000)
    disk.room = room
    gate = index.fault(Gate(after=20_000), "*.whl", times=1)
    clients = [asyncio.create_task(server.get(link(file))) for _ in range(30)]
    await gate.waiting()
    gate.open()
    assert all(answer.body == file.data for answer in await asyncio.gather(*clients))
    await eventually(lambda: kept_by(server.data_dir) == NOTHING)


@pytest.mark.parametrize("room", [FROM_THE_START, ON_THE_WAY])
@pytest.mark.parametrize("wrong", [0, -1])
@pytest.mark.parametrize("dialect", [PYPI, POOR], ids=["size known", "size unknown"])
async def test_a_wrong_file_is_cut_off_all_the_same(
    make_server: MakeServer, index: FakeIndex, disk: Disk, dialect: Dialect, wrong: int, room: int
) -> None:
    index.dialect = dialect
    server = await make_server(forwards_to(index))
    file = index.add_wheel("demo-pkg", "1.0", size_padding=100_000)
    index.fault(WrongBytes(at=wrong), "*.whl")
    disk.room = room
    async with server.open("GET", link(file)) as response:
        body, ended = await read_all(response)
    assert (response.status, ended) == (200, False) or response.status == 502
    assert len(body) < len(file.data)


async def test_an_upstream_that_fails_too_breaks_the_connection(
    server: Server, index: FakeIndex, disk: Disk, file: File
) -> None:
    gate = index.fault(Gate(after=50_000), "*.whl", times=1)
    async with server.open("GET", link(file)) as response:
        await response.content.readexactly(40_000)
        disk.room = 0
        await index.down()
        gate.open()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_metadata_that_was_read_out_of_a_wheel_is_passed_on(
    make_server: MakeServer, index: FakeIndex, disk: Disk
) -> None:
    index.dialect = POOR
    server = await make_server(forwards_to(index))
    file = index.add_wheel("demo-pkg", "1.0", size_padding=100_000)
    disk.room = FROM_THE_START
    path = f"{link(file)}.metadata"
    answer = await server.get(path)
    assert file.metadata
    assert (answer.status, answer.body) == (200, file.metadata)
    assert answer.headers["ETag"] == f'"{sha256_of(file.metadata)}"'
    assert answer.headers["Cache-Status"] == "pypi-sidecar; fwd=miss"
    part = await server.get(path, Range="bytes=5-9")
    assert (part.status, part.body) == (206, file.metadata[5:10])
    head = await server.head(path)
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(file.metadata)))
    assert (await server.get(path, If_None_Match=answer.headers["ETag"])).status == 304
    assert kept_by(server.data_dir) == NOTHING


async def test_who_takes_it_slowly_gets_all_of_it(
    make_server: MakeServer, index: FakeIndex, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "BEYOND_PAGE", 0.5)
    index.dialect = POOR
    server = await make_server(forwards_to(index, page_timeout='"1s"'))
    file = index.add_built("demo-pkg", build_wheel("demo-pkg", "1.0", description="x" * 15_000_000))
    disk.room = FROM_THE_START
    async with server.open("GET", f"{link(file)}.metadata") as response:
        first = await response.content.readexactly(1)
        await asyncio.sleep(1.6)  # longer than anybody waits for the first byte
        assert first + await response.read() == file.metadata


async def test_when_there_is_room_again_caching_goes_on(
    server: Server, index: FakeIndex, disk: Disk, file: File
) -> None:
    disk.room = FROM_THE_START
    assert (await server.get(link(file))).body == file.data
    disk.room = None
    answer = await server.get(link(file))
    assert (answer.body, answer.headers["Cache-Status"]) == (file.data, "pypi-sidecar; fwd=miss; stored")
    await index.down()
    assert (await server.get(link(file))).body == file.data


async def test_an_upload_is_507_and_leaves_nothing(server: Server, disk: Disk) -> None:
    disk.room = FROM_THE_START
    answer = await upload(server, build_wheel("demo-pkg", "1.0"))
    assert (answer.status, "space" in answer.message) == (507, True)
    await eventually(lambda: kept_by(server.data_dir) == NOTHING)
    assert (await server.get("/simple/", Accept=JSON)).projects == []
    disk.room = None
    assert (await upload(server, build_wheel("demo-pkg", "1.0"))).status == 201
