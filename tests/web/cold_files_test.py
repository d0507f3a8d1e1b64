"""Files that are not here yet: streamed while they are cached, once for all who ask, verified before they count."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.builders import build_wheel
from tests.fake_index import POOR, PYPI, Endless, Gate, Hang, HtmlError, Refuse, Status, WrongBytes
from tests.web.server import eventually, forwards_to, kept_by

if TYPE_CHECKING:
    from tests.fake_index import Dialect, FakeIndex, Fault
    from tests.web.server import Answer, MakeServer, Server

WHEEL = build_wheel("demo-pkg", "1.0", size_padding=300_000)
LINK = f"/files/{WHEEL.sha256}/{WHEEL.filename}"
NOTHING = {"blobs": 0, "parts": 0}


@pytest.fixture
def index(index: FakeIndex) -> FakeIndex:
    index.add_built("demo-pkg", WHEEL)
    return index


async def read_all(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """What came of the body, and whether it came to a clean end."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
    except aiohttp.ClientPayloadError:
        return bytes(body), False
    return bytes(body), True


async def fetched(server: Server, path: str) -> Answer | None:
    """The answer, None where it was broken off after it had begun."""
    try:
        return await server.get(path)
    except aiohttp.ClientPayloadError:
        return None


@pytest.mark.standard(64)
async def test_bytes_reach_the_client_before_the_upstream_has_sent_the_last(server: Server, index: FakeIndex) -> None:
    gate = index.fault(Gate(after=100_000), "*.whl")
    async with server.open("GET", LINK) as response:
        assert response.headers["Content-Length"] == str(len(WHEEL.data))
        assert await response.content.readexactly(50_000) == WHEEL.data[:50_000]
        await gate.waiting()
        gate.open()
        assert await response.read() == WHEEL.data[50_000:]


@pytest.mark.standard(61)
async def test_a_hundred_clients_cause_one_download(server: Server, index: FakeIndex) -> None:
    gate = index.fault(Gate(after=100_000), "*.whl")
    clients = [asyncio.create_task(server.get(LINK)) for _ in range(100)]
    await gate.waiting()
    gate.open()
    answers = await asyncio.gather(*clients)
    assert {answer.status for answer in answers} == {200}
    assert all(answer.body == WHEEL.data for answer in answers)
    assert index.count("GET", "*.whl") == 1
    assert index.count("GET", "/simple/*") == 1


@pytest.mark.standard(61)
async def test_who_comes_late_reads_the_running_download_from_its_start(server: Server, index: FakeIndex) -> None:
    gate = index.fault(Gate(after=200_000), "*.whl")
    async with server.open("GET", LINK) as early:
        await early.content.readexactly(150_000)
        async with server.open("GET", LINK) as late:
            assert await late.content.readexactly(150_000) == WHEEL.data[:150_000]
            gate.open()
            assert await late.read() == WHEEL.data[150_000:]
        assert await early.read() == WHEEL.data[150_000:]
    assert index.count("GET", "*.whl") == 1


@pytest.mark.standard(62)
async def test_a_client_that_leaves_harms_nobody(server: Server, index: FakeIndex) -> None:
    gate = index.fault(Gate(after=100_000), "*.whl")
    async with server.open("GET", LINK) as leaving, server.open("GET", LINK) as staying:
        await leaving.content.readexactly(1000)
        leaving.close()
        gate.open()
        assert await staying.read() == WHEEL.data
    assert index.count("GET", "*.whl") == 1


@pytest.mark.standard(62)
async def test_a_download_that_everybody_left_is_kept_all_the_same(server: Server, index: FakeIndex) -> None:
    gate = index.fault(Gate(after=100_000), "*.whl")
    async with server.open("GET", LINK) as leaving:
        await leaving.content.readexactly(1000)
        leaving.close()
    gate.open()
    await eventually((server.data_dir / "blobs" / WHEEL.sha256[:2] / WHEEL.sha256[2:]).exists)
    await index.down()
    answer = await server.get(LINK)
    assert (answer.status, answer.body) == (200, WHEEL.data)


async def test_a_client_that_does_not_read_holds_up_nobody(server: Server, index: FakeIndex) -> None:
    large = index.add_wheel("large", "1.0", size_padding=12_000_000)
    link = f"/files/{large.sha256}/{large.filename}"
    async with server.open("GET", link) as slow:
        await slow.content.readexactly(1)
        others = await asyncio.gather(server.get(link), server.get(link))
        assert all(answer.body == large.data for answer in others)
        assert await slow.read() == large.data[1:]
    assert index.count("GET", "*.whl") == 1


async def test_one_slow_download_holds_up_no_other_file_or_page(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(forwards_to(index, max_connections="1"))
    index.fault(Hang(after=10_000), f"*/{WHEEL.filename}")
    other = index.add_wheel("other", "1.0")
    async with server.open("GET", LINK) as hanging:
        assert hanging.status == 200
        assert (await server.page("/simple/other/")).filenames == [other.filename]
        assert (await server.get("/-/health")).status == 200


# Wrong files


@pytest.mark.standard(63)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(WrongBytes(), id="wrong last byte"),
        pytest.param(WrongBytes(at=0), id="wrong first byte"),
    ],
)
@pytest.mark.parametrize("dialect", [PYPI, replace(POOR, ranges=False)], ids=["size known", "size unknown"])
async def test_a_wrong_file_never_comes_to_a_clean_end(
    make_server: MakeServer, index: FakeIndex, dialect: Dialect, fault: Fault
) -> None:
    index.dialect = dialect
    server = await make_server(forwards_to(index))
    index.fault(fault, "*.whl", times=1)
    async with server.open("GET", LINK) as response:
        body, ended = await read_all(response)
    assert not ended
    assert len(body) < len(WHEEL.data)
    await eventually(lambda: kept_by(server.data_dir) == NOTHING)
    answer = await server.get(LINK)
    assert (answer.status, answer.body) == (200, WHEEL.data)
    assert index.count("GET", "*.whl") == 2


@pytest.mark.standard(63)
async def test_all_who_follow_a_wrong_file_are_cut_off(server: Server, index: FakeIndex) -> None:
    index.fault(WrongBytes(), "*.whl", times=1)
    gate = index.fault(Gate(after=100_000), "*.whl", times=1)

    joined = asyncio.Barrier(11)

    async def fetch() -> tuple[bytes, bool]:
        async with server.open("GET", LINK) as response:
            await joined.wait()
            return await read_all(response)

    clients = [asyncio.create_task(fetch()) for _ in range(10)]
    await joined.wait()
    gate.open()
    for body, ended in await asyncio.gather(*clients):
        assert not ended
        assert WHEEL.data.startswith(body)
        assert len(body) < len(WHEEL.data)
    assert index.count("GET", "*.whl") == 1


@pytest.mark.standard(63)
@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025])
async def test_of_a_small_wrong_file_no_byte_is_sent_too_many(server: Server, index: FakeIndex, size: int) -> None:
    file = index.add_file("tiny", "tiny-1.0.tar.gz", b"x" * size, hashes={"sha256": "0" * 64})
    answer = await fetched(server, f"/files/{'0' * 64}/{file.filename}")
    assert answer is None or answer.status == 502
    await eventually(lambda: kept_by(server.data_dir) == NOTHING)


@pytest.mark.parametrize("dialect", [PYPI, POOR], ids=["size known", "size unknown"])
@pytest.mark.parametrize("size", [0, 1, 1024])
async def test_a_small_file_comes_whole(
    make_server: MakeServer, index: FakeIndex, dialect: Dialect, size: int
) -> None:
    index.dialect = dialect
    server = await make_server(forwards_to(index))
    file = index.add_file("tiny", "tiny-1.0.tar.gz", b"x" * size)
    for _ in range(2):
        answer = await server.get(f"/files/{file.sha256}/{file.filename}")
        assert (answer.status, answer.body) == (200, file.data)


@pytest.mark.standard(63, 67)
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Status(500), 503),
        (Status(503), 503),
        (Status(429, {"Retry-After": "9"}), 503),
        (Status(403), 503),
        (Status(404), 404),
        (Refuse(), 503),
        (HtmlError(), 502),
        (Status(200, {"Content-Encoding": "gzip"}, b"zipped"), 502),
        (Endless(), 502),
    ],
    ids=repr,
)
async def test_what_is_no_file_is_an_error_and_not_kept(
    server: Server, index: FakeIndex, fault: Fault, status: int
) -> None:
    rule = index.fault(fault, "*.whl")
    answer = await fetched(server, LINK)
    if answer is None:
        assert isinstance(fault, Endless), "it may have begun before it was seen to be wrong"
    else:
        assert answer.status == status
        assert "max-age" not in answer.headers["Cache-Control"]
        assert answer.message
    await eventually(lambda: kept_by(server.data_dir) == NOTHING)
    index.clear_faults(rule)
    assert (await server.get(LINK)).body == WHEEL.data


async def test_an_error_page_in_the_place_of_a_file_of_unknown_size_is_not_kept(
    make_server: MakeServer, index: FakeIndex
) -> None:
    index.dialect = POOR
    server = await make_server(forwards_to(index))
    index.fault(HtmlError(b"<html>" + b"sorry " * 1000), "*.whl", times=1)
    answer = await fetched(server, LINK)
    assert answer is None or answer.status == 502
    await eventually(lambda: kept_by(server.data_dir) == NOTHING)
    assert (await server.get(LINK)).body == WHEEL.data


@pytest.mark.standard(67)
async def test_a_file_host_that_does_not_answer_is_an_error_in_time(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(forwards_to(index, page_timeout='"1s"'))
    hang = index.fault(Hang(), "*.whl")
    async with asyncio.timeout(10):
        answer = await server.get(LINK)
    assert answer.status in {502, 503}
    index.clear_faults(hang)
    assert (await server.get(LINK)).body == WHEEL.data


async def test_a_file_host_that_falls_silent_for_good_breaks_the_connection(
    make_server: MakeServer, index: FakeIndex
) -> None:
    server = await make_server(forwards_to(index, read_timeout='"1s"'))
    index.fault(Hang(after=100_000), "*.whl", times=1)
    refuse = index.fault(Refuse(), "*.whl")
    async with server.open("GET", LINK) as response:
        body, ended = await read_all(response)
    assert not ended
    assert WHEEL.data.startswith(body)
    index.clear_faults(refuse)
    assert (await server.get(LINK)).body == WHEEL.data


# Core metadata


@pytest.mark.standard(60, 97)
async def test_metadata_is_fetched_once_and_kept(server: Server, index: FakeIndex) -> None:
    gate = index.fault(Gate(after=None), "*.metadata")
    clients = [asyncio.create_task(server.get(f"{LINK}.metadata")) for _ in range(20)]
    await gate.waiting()
    gate.open()
    answers = [*await asyncio.gather(*clients), await server.get(f"{LINK}.metadata")]
    assert {(answer.status, answer.body) for answer in answers} == {(200, WHEEL.metadata)}
    assert index.count("GET", "*.metadata") == 1
    assert index.count("GET", "*.whl") == 0


@pytest.mark.standard(60)
async def test_metadata_with_another_hash_than_promised_is_not_served(server: Server, index: FakeIndex) -> None:
    file = index.add_wheel("liar", "1.0", core_metadata="wrong")
    answer = await fetched(server, f"/files/{file.sha256}/{file.filename}.metadata")
    assert answer is None or answer.status == 502
    await eventually(lambda: kept_by(server.data_dir) == NOTHING)
    assert (await server.get(f"/files/{file.sha256}/{file.filename}")).body == file.data


@pytest.mark.standard(60)
async def test_metadata_that_is_missing_after_all_is_an_error(server: Server, index: FakeIndex) -> None:
    file = index.add_wheel("forgetful", "1.0", core_metadata="missing")
    assert (await server.get(f"/files/{file.sha256}/{file.filename}.metadata")).status == 404
