"""Whatever a file answer waits for in turn (page, size, file), the client hears of trouble within ten seconds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.core.registry import Upstream
from proxy.web import patience
from tests.builders import build_wheel
from tests.fake_index import POOR, Hang, Truncated
from tests.web.server import eventually, forwards_to, kept_by

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.web.server import MakeServer

WHEEL = build_wheel("demo-pkg", "1.0", size_padding=300_000)
LINK = f"/files/{WHEEL.sha256}/{WHEEL.filename}"
PAGE = "/simple/demo-pkg/"


@pytest.fixture(autouse=True)
def _listed(index: FakeIndex) -> None:
    index.add_built("demo-pkg", WHEEL, provenance=b'{"version": 1}')


def test_with_the_built_in_settings_it_is_less_than_ten_seconds() -> None:
    assert Upstream("pypi", "https://pypi.org/simple/").page_timeout.total_seconds() + patience.BEYOND_PAGE < 10


@pytest.mark.parametrize(
    ("companion", "wanted"), [("", None), ("", "bytes=0-99"), (".metadata", None), (".provenance", None)]
)
async def test_what_takes_long_in_turn_is_given_up_in_all(
    make_server: MakeServer, index: FakeIndex, monkeypatch: pytest.MonkeyPatch, companion: str, wanted: str | None
) -> None:
    """The page takes nearly all the time there is; the file then has not another page's time."""
    monkeypatch.setattr(patience, "BEYOND_PAGE", -9.5)
    server = await make_server(forwards_to(index, page_timeout='"10s"'))
    page = index.fault(Hang(), PAGE)
    index.fault(Hang(), f"*.whl{companion}")
    index.fault(Hang(), "/integrity/*")
    asking = asyncio.create_task(server.get(LINK + companion, **({"Range": wanted} if wanted else {})))
    await page.waiting()
    index.clear_faults(page)
    answer = await asking
    assert (answer.status, "takes too long" in answer.message) == (503, True)
    index.clear_faults()
    assert (await server.get(LINK + companion)).status == 200


async def test_what_others_wait_for_too_goes_on(
    make_server: MakeServer, index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "BEYOND_PAGE", -9.5)
    server = await make_server(forwards_to(index, page_timeout='"10s"'))
    hang = index.fault(Hang(), "*.whl")
    assert (await server.get(LINK)).status == 503
    index.clear_faults(hang)
    await eventually(lambda: kept_by(server.data_dir)["blobs"] >= 1)
    assert (await server.get(LINK)).body == WHEEL.data
    assert index.count("GET", "*.whl") == 1


async def test_an_answer_that_has_begun_may_take_its_time(
    make_server: MakeServer, index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "BEYOND_PAGE", -9.7)
    server = await make_server(forwards_to(index, page_timeout='"10s"'))
    hang = index.fault(Hang(after=100_000), "*.whl")
    async with server.open("GET", LINK) as response:
        body = await response.content.readexactly(50_000)
        await asyncio.sleep(0.4)  # longer than the patience
        index.clear_faults(hang)
        assert body + await response.read() == WHEEL.data


async def test_a_head_without_a_byte_is_no_answer_yet(
    make_server: MakeServer, index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upstream sends its head and falls silent: our client still gets a message."""
    monkeypatch.setattr(patience, "BEYOND_PAGE", -9.5)
    index.dialect = POOR
    server = await make_server(forwards_to(index, page_timeout='"10s"'))
    index.fault(Hang(after=0), "*.whl")
    answer = await server.get(LINK)
    assert (answer.status, bool(answer.message)) == (503, True)


async def test_also_where_it_comes_in_crumbs(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(forwards_to(index, page_timeout='"1s"'))
    index.fault(Truncated(after=10), "*.whl", times=50)
    async with asyncio.timeout(10):
        assert (await server.get(LINK)).body == WHEEL.data
