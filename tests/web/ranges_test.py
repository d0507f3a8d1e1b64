"""Byte ranges (RFC 9110 section 14), of files that are here and of files that are not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.fake_index import POOR, PYPI, Gate, Status
from tests.web.server import forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from tests.fake_index import Dialect, FakeIndex
    from tests.web.server import MakeServer, Server

WHEEL = build_wheel("demo-pkg", "1.0", size_padding=100_000)
SIZE = len(WHEEL.data)
LINK = f"/files/{WHEEL.sha256}/{WHEEL.filename}"
ETAG = f'"{WHEEL.sha256}"'


@pytest.fixture(params=["local", "cached", "cold"])
async def link(request: pytest.FixtureRequest, server: Server, index: FakeIndex) -> str:
    if request.param == "local":
        await publish(server, WHEEL)
    else:
        index.add_built("demo-pkg", WHEEL)
    if request.param == "cached":
        assert (await server.get(LINK)).status == 200
    return LINK


@pytest.mark.standard(55, 56, 59)
async def test_a_range_is_answered_with_exactly_its_bytes(server: Server, link: str) -> None:
    for wanted, first, last in (
        ("bytes=0-99", 0, 99),
        ("bytes=5000-5000", 5000, 5000),
        ("bytes=-100", SIZE - 100, SIZE - 1),
        (f"bytes={SIZE - 7}-", SIZE - 7, SIZE - 1),
        (f"bytes=100-{SIZE * 9}", 100, SIZE - 1),
        ("Bytes=0-0", 0, 0),
        ("bytes=0-", 0, SIZE - 1),
        (f"bytes=-{SIZE + 5}", 0, SIZE - 1),
    ):
        answer = await server.get(link, Range=wanted)
        assert answer.status == 206, wanted
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
        assert int(answer.headers["Content-Length"]) == last - first + 1
        assert answer.headers["ETag"] == ETAG
        assert answer.body == WHEEL.data[first : last + 1]
    assert (await server.get(link)).body == WHEEL.data


@pytest.mark.standard(57)
async def test_a_range_beyond_the_end_is_416_with_the_size(server: Server, link: str) -> None:
    for wanted in (f"bytes={SIZE}-", f"bytes={SIZE + 1}-{SIZE + 9}", "bytes=-0", f"bytes={'9' * 18}-"):
        answer = await server.get(link, Range=wanted)
        assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{SIZE}"), wanted


@pytest.mark.parametrize("wanted", ["bytes=0-1,3-4", "bytes=-", "bytes=9-3", f"bytes=0-{'9' * 5000}"])
async def test_what_is_no_single_range_gets_the_whole(server: Server, link: str, wanted: str) -> None:
    for header in (wanted, wanted.replace("bytes", "lines"), wanted.replace("bytes=", ""), ""):
        answer = await server.get(link, Range=header)
        assert (answer.status, answer.body) == (200, WHEEL.data)


@pytest.mark.standard(58)
async def test_if_range_resumes_the_same_file_only(server: Server, link: str) -> None:
    answer = await server.get(link, Range="bytes=100-199", If_Range=ETAG)
    assert (answer.status, answer.body) == (206, WHEEL.data[100:200])
    for other in ('"other"', f"W/{ETAG}", "Sun, 06 Nov 1994 08:49:37 GMT", ""):
        answer = await server.get(link, Range="bytes=100-199", If_Range=other)
        assert (answer.status, answer.body) == (200, WHEEL.data)


async def test_head_with_a_range_has_no_body(server: Server, link: str) -> None:
    answer = await server.head(link, Range="bytes=0-99")
    assert answer.status in {200, 206}
    assert answer.body == b""


async def test_the_metadata_has_ranges_too(server: Server, link: str) -> None:
    for _ in range(2):  # cold and kept
        answer = await server.get(f"{link}.metadata", Range="bytes=0-9")
        assert answer.status in {200, 206}
        assert answer.body == (WHEEL.metadata if answer.status == 200 else WHEEL.metadata[:10])


# Of cold files


@pytest.mark.standard(59)
async def test_a_cold_range_does_not_fetch_the_whole(server: Server, index: FakeIndex) -> None:
    index.add_built("demo-pkg", WHEEL)
    assert (await server.get(LINK, Range="bytes=-16384")).body == WHEEL.data[-16384:]
    assert index.bytes_sent("*.whl") == 16384


@pytest.mark.standard(59)
async def test_a_cold_range_does_not_wait_for_a_running_download(server: Server, index: FakeIndex) -> None:
    file = index.add_wheel("large", "1.0", size_padding=6_000_000)
    link = f"/files/{file.sha256}/{file.filename}"
    gate = index.fault(Gate(after=10_000), "*.whl", times=1)
    async with server.open("GET", link) as whole:
        await gate.waiting()
        for wanted, part in (("bytes=0-99", file.data[:100]), ("bytes=-100", file.data[-100:])):
            assert (await server.get(link, Range=wanted)).body == part
        gate.open()
        assert await whole.read() == file.data


@pytest.mark.standard(59)
@pytest.mark.parametrize("dialect", [replace(PYPI, ranges=False), POOR, replace(POOR, ranges=False)])
async def test_a_range_of_an_upstream_without_ranges_or_sizes_has_the_right_bytes(
    make_server: MakeServer, index: FakeIndex, dialect: Dialect
) -> None:
    index.dialect = dialect
    server = await make_server(forwards_to(index))
    for version, first, last in (("1.0", 0, 99), ("2.0", 100, 90_000)):
        file = index.add_wheel(f"demo-{version[0]}", version, size_padding=100_000)
        link = f"/files/{file.sha256}/{file.filename}"
        answer = await server.get(link, Range=f"bytes={first}-{last}")
        assert answer.status in {200, 206}
        assert answer.body == (file.data if answer.status == 200 else file.data[first : last + 1])
        assert (await server.get(link, Range="bytes=-100")).body in {file.data, file.data[-100:]}
        assert (await server.get(link)).body == file.data


async def test_a_cold_range_that_the_upstream_cannot_give_is_an_error(server: Server, index: FakeIndex) -> None:
    index.add_built("demo-pkg", WHEEL)
    rule = index.fault(Status(503), "*.whl")
    answer = await server.get(LINK, Range="bytes=0-99")
    assert answer.status == 503
    assert "Content-Range" not in answer.headers
    index.clear_faults(rule)
    assert (await server.get(LINK, Range="bytes=0-99")).body == WHEEL.data[:100]
