"""What a page's answer says besides the page: its serial, when to ask again, and whether it may be asked at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import UpstreamTrouble
from proxy.core.model import Validators
from proxy.upstream import client
from tests.fake_index import POOR, PYPI, FakeIndex, Status
from tests.upstream.asking import DEMO, HTML, JSON, PAGE, page_of

if TYPE_CHECKING:
    from proxy.upstream import HttpUpstream
    from tests import fake_index

SERIAL = {"Content-Type": JSON, "X-PyPI-Last-Serial": "18"}
TOLD_IN_JSON = b'{"meta": {"api-version": "1.0", "_last-serial": 17}, "name": "demo", "files": []}'
KNOWN = Validators('"1"')


class TestSerials:
    @pytest.mark.parametrize("dialect", [PYPI, POOR])
    async def test_it_grows_with_the_page(
        self, index: FakeIndex, upstream: HttpUpstream, dialect: fake_index.Dialect
    ) -> None:
        index.dialect = dialect
        index.add_wheel("demo", "1.0")
        before = (await page_of(upstream)).serial
        index.add_wheel("demo", "2.0")
        after = (await page_of(upstream)).serial
        assert before is not None
        assert after is not None
        assert after > before

    @pytest.mark.parametrize(
        ("headers", "serial"),
        [
            (SERIAL, 18),
            ({"Content-Type": JSON}, 17),
            ({"Content-Type": JSON, "X-PyPI-Last-Serial": "many"}, None),
        ],
    )
    async def test_the_header_counts_before_the_page(
        self, index: FakeIndex, upstream: HttpUpstream, headers: dict[str, str], serial: int | None
    ) -> None:
        index.fault(Status(200, headers, TOLD_IN_JSON), PAGE)
        assert (await page_of(upstream)).serial == serial

    async def test_a_page_may_have_none(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.fault(Status(200, {"Content-Type": HTML}, b"<title>Links for demo</title>"), PAGE)
        assert (await page_of(upstream)).serial is None


class TestRetryAfter:
    @pytest.mark.parametrize("status", [429, 503])
    async def test_it_is_told_and_not_asked_again_before(
        self, index: FakeIndex, upstream: HttpUpstream, status: int
    ) -> None:
        index.fault(Status(status, {"Retry-After": "30"}), PAGE)
        with pytest.raises(UpstreamTrouble) as caught:
            await upstream.fetch_page(DEMO, None)
        assert caught.value.retry_after == 30
        assert index.count() == 1

    async def test_a_short_one_is_waited_for(
        self, index: FakeIndex, upstream: HttpUpstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        index.add_wheel("demo", "1.0")
        index.fault(Status(503, {"Retry-After": "0"}), PAGE, times=1)
        await page_of(upstream)
        assert index.count() == 2
        monkeypatch.setattr(client, "MAX_RETRY_AFTER", 0)
        index.fault(Status(503, {"Retry-After": "1"}), PAGE, times=1)
        with pytest.raises(UpstreamTrouble):
            await upstream.fetch_page(DEMO, None)
        assert index.count() == 3

    async def test_without_one_nothing_is_told(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.fault(Status(503), PAGE)
        with pytest.raises(UpstreamTrouble) as caught:
            await upstream.fetch_page(DEMO, KNOWN)
        assert caught.value.retry_after is None


class TestNotAskedAgain:
    async def test_offline_there_is_no_retry(
        self, index: FakeIndex, upstream: HttpUpstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for bound in ("RETRY_AFTER", "MAX_RETRY_AFTER"):
            monkeypatch.setattr(client, bound, 3600)
        upstream.offline = True
        with pytest.raises(UpstreamTrouble, match="offline"):
            await upstream.fetch_page(DEMO, None)
        assert index.requests == []

    async def test_nor_where_it_went_offline_meanwhile(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.fault(Status(503, {"Retry-After": "1"}), PAGE)
        asking = asyncio.create_task(upstream.fetch_page(DEMO, None))
        await index.until(lambda: index.count() == 1)
        upstream.offline = True
        with pytest.raises(UpstreamTrouble):
            await asking
        assert index.count() == 1

    @pytest.mark.parametrize("validators", [None, Validators()])
    async def test_not_modified_without_a_condition_is_trouble(
        self, index: FakeIndex, upstream: HttpUpstream, validators: Validators | None
    ) -> None:
        index.fault(Status(304), PAGE)
        with pytest.raises(UpstreamTrouble, match="answered 304"):
            await upstream.fetch_page(DEMO, validators)
