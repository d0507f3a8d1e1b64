"""Blobs that are gone, cannot be opened or have lost bytes: fetched anew, or an error that says so; never a 500."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from proxy.web import sending
from tests.builders import build_wheel
from tests.fake_index import POOR, Refuse
from tests.web.server import eventually, forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fake_index import FakeIndex
    from tests.web.server import MakeServer, Server

WHEEL = build_wheel("demo-pkg", "1.0", size_padding=300_000)
SIZE = len(WHEEL.data)
LINK = f"/files/{WHEEL.sha256}/{WHEEL.filename}"


def path_of(server: Server, sha256: str = WHEEL.sha256) -> Path:
    return server.data_dir / "blobs" / sha256[:2] / sha256[2:]


def is_gone(path: Path) -> None:
    path.unlink()


def is_a_directory(path: Path) -> None:
    """As good as any file that cannot be opened; root opens those of every mode."""
    path.unlink()
    path.mkdir()


def is_truncated(path: Path) -> None:
    os.truncate(path, SIZE // 2)


def is_empty(path: Path) -> None:
    os.truncate(path, 0)


HARM = [is_gone, is_a_directory, is_truncated, is_empty]


@pytest.mark.parametrize("harm", HARM)
class TestCached:
    async def test_it_is_fetched_anew(self, server: Server, index: FakeIndex, harm: Callable[[Path], None]) -> None:
        index.add_built("demo-pkg", WHEEL)
        assert (await server.get(LINK)).body == WHEEL.data
        harm(path_of(server))
        for wanted, body in ((None, WHEEL.data), ("bytes=100-199", WHEEL.data[100:200]), (None, WHEEL.data)):
            answer = await server.get(LINK, **({"Range": wanted} if wanted else {}))
            assert (answer.status, answer.body) == (206 if wanted else 200, body)

    async def test_of_a_range_the_range(self, server: Server, index: FakeIndex, harm: Callable[[Path], None]) -> None:
        index.add_built("demo-pkg", WHEEL)
        assert (await server.get(LINK)).body == WHEEL.data
        harm(path_of(server))
        answer = await server.get(LINK, Range="bytes=100-199")
        assert (answer.status, answer.body) == (206, WHEEL.data[100:200])
        assert (await server.head(LINK)).headers["Content-Length"] == str(SIZE)

    async def test_without_its_upstream_it_is_an_error_that_says_so(
        self, server: Server, index: FakeIndex, harm: Callable[[Path], None]
    ) -> None:
        index.add_built("demo-pkg", WHEEL)
        assert (await server.get(LINK)).body == WHEEL.data
        harm(path_of(server))
        await index.down()
        answer = await server.get(LINK)
        assert (answer.status, bool(answer.message)) == (503, True)


@pytest.mark.parametrize("harm", [is_gone, is_a_directory])
@pytest.mark.parametrize("poor", [True, False], ids=["read from the wheel", "offered"])
async def test_metadata_is_read_anew(
    make_server: MakeServer, index: FakeIndex, harm: Callable[[Path], None], *, poor: bool
) -> None:
    if poor:
        index.dialect = POOR
    server = await make_server(forwards_to(index))
    index.add_built("demo-pkg", WHEEL)
    first = await server.get(f"{LINK}.metadata")
    assert first.body == WHEEL.metadata
    harm(path_of(server, first.headers["ETag"].strip('"')))
    for _ in range(2):
        answer = await server.get(f"{LINK}.metadata")
        assert (answer.status, answer.body) == (200, WHEEL.metadata)


@pytest.mark.parametrize("harm", HARM)
async def test_a_published_file_is_503_with_a_message(server: Server, harm: Callable[[Path], None]) -> None:
    await publish(server, WHEEL)
    assert (await server.get(LINK)).body == WHEEL.data
    harm(path_of(server))
    for answer in (await server.get(LINK), await server.get(LINK, Range="bytes=0-9"), await server.get(LINK)):
        assert (answer.status, "data directory" in answer.message) == (503, True)
        assert str(server.data_dir) not in answer.message
    assert (await server.head(LINK)).status == 503


@pytest.mark.parametrize("local", [True, False], ids=["published", "cached"])
async def test_a_file_that_loses_bytes_while_it_is_sent_comes_to_no_clean_end(
    server: Server, index: FakeIndex, monkeypatch: pytest.MonkeyPatch, *, local: bool
) -> None:
    if local:
        await publish(server, WHEEL)
    else:
        index.add_built("demo-pkg", WHEEL)
    assert (await server.get(LINK)).body == WHEEL.data
    path, opened = path_of(server), Path.open

    def open_and_truncate(self: Path, mode: str = "r") -> IO[bytes] | IO[str]:
        file = opened(self, mode)
        if self == path:
            os.truncate(path, SIZE // 2)
        return file

    monkeypatch.setattr(Path, "open", open_and_truncate)
    async with asyncio.timeout(10):
        with pytest.raises(aiohttp.ClientPayloadError):
            await server.get(LINK)


async def test_a_disk_that_fails_while_a_file_is_sent_breaks_the_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(server, WHEEL)

    async def sendfile(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(asyncio.get_running_loop(), "sendfile", sendfile)
    with pytest.raises(aiohttp.ClientPayloadError):
        await server.get(LINK)


async def test_a_client_that_leaves_while_the_file_is_opened_leaves_it_closed(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await publish(server, WHEEL)
    path, opened = path_of(server), Path.open
    opening, gone = threading.Event(), threading.Event()
    files: list[IO[bytes] | IO[str]] = []

    def open_late(self: Path, mode: str = "r") -> IO[bytes] | IO[str]:
        if self != path:
            return opened(self, mode)
        opening.set()
        gone.wait(10)
        files.append(opened(self, mode))
        return files[-1]

    monkeypatch.setattr(Path, "open", open_late)
    asking = asyncio.create_task(server.get(LINK))
    await eventually(opening.is_set)
    asking.cancel()
    await asyncio.wait([asking])
    gone.set()
    await eventually(lambda: bool(files) and files[0].closed)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_a_connection_that_is_closing_is_a_client_that_left(tmp_path: Path) -> None:
    transport = Mock(asyncio.Transport, is_closing=Mock(return_value=True))
    request = make_mocked_request("GET", LINK, transport=transport)
    (tmp_path / "file").touch()
    with (tmp_path / "file").open("rb") as file, pytest.raises(ConnectionError):
        await sending._send_file(request, file, 0, 1)


async def test_while_it_is_fetched_anew_others_share_the_download(server: Server, index: FakeIndex) -> None:
    index.add_built("demo-pkg", WHEEL)
    assert (await server.get(LINK)).body == WHEEL.data
    is_truncated(path_of(server))
    answers = await asyncio.gather(*(server.get(LINK) for _ in range(20)))
    assert all(answer.body == WHEEL.data for answer in answers)
    assert 2 <= index.count("GET", "*.whl") < 10, (
        "one that saw the bad blob and asks after the first has ended asks anew"
    )
    index.fault(Refuse(), "*.whl")
    assert (await server.get(LINK)).body == WHEEL.data
    assert path_of(server).read_bytes() == WHEEL.data
