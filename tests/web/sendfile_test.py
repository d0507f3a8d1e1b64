"""A file leaves by sendfile for as long as its client takes it, however slowly."""

from __future__ import annotations

import asyncio
import sys
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, cast

import pytest

from proxy.web import sendfile
from tests.fakes.gate import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from io import BufferedReader

SIZE = 24 * 1024 * 1024
STALL = 0.3


@pytest.fixture
def source() -> Iterator[IO[bytes]]:
    with TemporaryFile() as file:
        file.write(bytes(range(256)) * (SIZE // 256))
        file.flush()
        yield file


class Receiver(asyncio.Protocol):
    """The server's end of a connection, which only ever sends."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)


@pytest.fixture
async def ends() -> AsyncIterator[tuple[asyncio.Transport, asyncio.StreamReader]]:
    """A connection's two ends: who sends the file, and the client, whose reader holds little ahead."""
    receiver = Receiver()
    server = await asyncio.get_running_loop().create_server(lambda: receiver, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=16 * 1024)
        await until(lambda: hasattr(receiver, "transport"))
        yield receiver.transport, reader
        writer.transport.abort()
        receiver.transport.abort()


async def send(
    ends: tuple[asyncio.Transport, asyncio.StreamReader], source: IO[bytes], first: int, length: int
) -> int:
    return await sendfile.send_file(ends[0], cast("BufferedReader", source), first, length)


async def test_a_part_of_a_file(ends: tuple[asyncio.Transport, asyncio.StreamReader], source: IO[bytes]) -> None:
    sending = asyncio.create_task(send(ends, source, 3, 5_000_000))
    received = await ends[1].readexactly(5_000_000)
    assert await sending == 5_000_000
    assert received[:4] == bytes([3, 4, 5, 6])


async def test_a_file_that_ends_early(ends: tuple[asyncio.Transport, asyncio.StreamReader], source: IO[bytes]) -> None:
    sending = asyncio.create_task(send(ends, source, SIZE - 1000, 5000))
    assert len(await ends[1].readexactly(1000)) == 1000
    assert await sending == 1000


async def test_who_takes_nothing_is_given_up(
    ends: tuple[asyncio.Transport, asyncio.StreamReader], source: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sendfile, "STALL", STALL)
    with pytest.raises(TimeoutError):
        await send(ends, source, 0, SIZE)


@pytest.mark.skipif(sys.platform != "linux", reason="only there the kernel tells what was taken")
async def test_a_long_slice_may_take_its_time_while_some_of_it_is_taken(
    ends: tuple[asyncio.Transport, asyncio.StreamReader], source: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One slice that takes several times as long as a client may take nothing."""
    for name, value in (("STALL", STALL), ("SLICE", SIZE), ("MIN_TAKEN", 1)):
        monkeypatch.setattr(sendfile, name, value)
    sending = asyncio.create_task(send(ends, source, 0, SIZE))
    loop = asyncio.get_running_loop()
    began, received = loop.time(), 0
    while received < SIZE:
        received += len(await ends[1].read(1024 * 1024))
        if loop.time() - began < 4 * STALL:
            await asyncio.sleep(STALL / 10)
    assert await sending == SIZE
    assert loop.time() - began > 2 * STALL


async def test_where_the_kernel_tells_nothing_slices_are_short(
    ends: tuple[asyncio.Transport, asyncio.StreamReader], source: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    wanted: list[int] = []
    loop = asyncio.get_running_loop()
    whole = loop.sendfile

    async def note(transport: asyncio.Transport, file: IO[bytes], offset: int, count: int) -> int:
        wanted.append(count)
        return await whole(transport, file, offset, count)

    monkeypatch.setattr(loop, "sendfile", note)
    sending = asyncio.create_task(send(ends, source, 0, SIZE))
    await ends[1].readexactly(SIZE)
    assert await sending == SIZE
    assert set(wanted) == {sendfile.SLICE}
