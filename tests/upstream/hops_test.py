"""Where requests may lead, and who is told the credentials."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import UpstreamBroken, UpstreamTrouble
from proxy.core.ranges import ByteRange
from tests.fake_index import FakeIndex, Redirect, RedirectLoop, Refuse, Status
from tests.upstream.asking import DEMO, PAGE, Connect, kind, page_of, read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy.core.registry import Upstream
    from proxy.upstream import HttpUpstream
    from tests import fake_index

MAX_REQUESTS = 6  # the first and five redirects


pytestmark = pytest.mark.usefixtures("demo")


@pytest.fixture
def demo(index: FakeIndex) -> fake_index.File:
    return index.add_wheel("demo", "1.0")


@pytest.fixture
async def stranger() -> AsyncIterator[FakeIndex]:
    """A host that the config does not name, and that would have all that is asked for."""
    async with FakeIndex() as stranger:
        stranger.add_wheel("demo", "1.0")
        yield stranger


class TestRedirects:
    @pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
    async def test_a_page_that_has_moved_is_followed(
        self, index: FakeIndex, upstream: HttpUpstream, code: int
    ) -> None:
        index.fault(Redirect("/simple/demo/?moved", code), PAGE, times=1)
        assert len((await page_of(upstream)).detail.files) == 1
        assert [ask.query for ask in index.requests] == ["", "moved"]

    @pytest.mark.parametrize("location", ["../demo/?moved", "?moved", "//{host}/simple/demo/?moved"])
    async def test_the_location_may_be_relative(self, index: FakeIndex, upstream: HttpUpstream, location: str) -> None:
        index.fault(Redirect(location.format(host=index.pages_host)), PAGE, times=1)
        assert len((await page_of(upstream)).detail.files) == 1
        assert index.requests[-1].query == "moved"

    async def test_links_are_relative_to_where_the_page_is(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        body = b'{"meta": {"api-version": "1.0"}, "name": "demo", "files": [{"filename": "demo-1.0.zip",'
        body += b'"url": "demo-1.0.zip", "hashes": {"sha256": "' + b"0" * 64 + b'"}}]}'
        index.fault(Redirect("/mirror/of/demo/"), PAGE)
        index.fault(Status(200, {"Content-Type": "application/vnd.pypi.simple.v1+json"}, body), "/mirror/*")
        (file,) = (await page_of(upstream)).detail.files
        assert file.url == f"http://{index.pages_host}/mirror/of/demo/demo-1.0.zip"

    async def test_a_page_may_lie_on_a_file_host(
        self, index: FakeIndex, connect: Connect, settings: Upstream, stranger: FakeIndex
    ) -> None:
        index.fault(Redirect(f"{stranger.simple_url}demo/"), PAGE)
        known = await connect(replace(settings, file_hosts=(stranger.pages_host, stranger.files_host)))
        assert len((await page_of(known)).detail.files) == 1

    async def test_a_file_that_has_moved_is_followed_with_its_range(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        index.fault(Redirect(f"{demo.url}?moved"), demo.path, times=1)
        assert await read(upstream, demo.url, ByteRange(0, 9)) == demo.data[:10]
        assert [ask.headers["Range"] for ask in index.requests] == ["bytes=0-9"] * 2

    async def test_a_redirected_head_stays_one(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        index.fault(Redirect(f"{demo.url}?moved"), demo.path, times=1)
        assert await upstream.fetch_size(demo.url) == len(demo.data)
        assert [ask.method for ask in index.requests] == ["HEAD"] * 2

    async def test_a_page_without_end_of_redirects_is_given_up(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.fault(RedirectLoop(), PAGE)
        with pytest.raises(UpstreamBroken, match="redirects without end"):
            await upstream.fetch_page(DEMO, None)
        assert index.count() == MAX_REQUESTS

    async def test_so_is_a_file(self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File) -> None:
        index.fault(RedirectLoop(), "*.whl")
        with pytest.raises(UpstreamBroken, match="redirects without end"):
            await read(upstream, demo.url)
        assert index.count() == MAX_REQUESTS

    @pytest.mark.parametrize(
        "location",
        [
            "http://[",
            "http://127.0.0.1:port/",
            "http://127.0.0.1:99999/",
            "https://{host}/simple/demo/",
            "ftp://{host}/demo",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http://user:secret@{host}/simple/demo/",
            "http://localhost:1/simple/demo/",
            "http://[::1]/",
        ],
    )
    async def test_what_leads_nowhere_is_refused(
        self, index: FakeIndex, upstream: HttpUpstream, location: str
    ) -> None:
        index.fault(Redirect(location.format(host=index.pages_host)), PAGE)
        with pytest.raises(UpstreamBroken):
            await upstream.fetch_page(DEMO, None)
        assert index.count() == 1

    @pytest.mark.parametrize("fault", [Status(302), Redirect(""), Redirect("http://")], ids=kind)
    async def test_a_redirect_to_nothing_ends_at_once(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, fault: fake_index.Fault
    ) -> None:
        index.fault(fault)
        for ask in (upstream.fetch_page(DEMO, None), read(upstream, demo.url), upstream.fetch_size(demo.url)):
            with pytest.raises(UpstreamBroken):
                await ask
        assert index.count() == 3, "nobody was asked again"


class TestHosts:
    async def test_a_page_elsewhere_is_not_asked_for(
        self, index: FakeIndex, upstream: HttpUpstream, stranger: FakeIndex
    ) -> None:
        index.fault(Redirect(f"{stranger.simple_url}demo/"), PAGE)
        with pytest.raises(UpstreamBroken, match="file_hosts"):
            await upstream.fetch_page(DEMO, None)
        assert (index.count(), stranger.count()) == (1, 0)

    async def test_nor_is_a_file(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File, stranger: FakeIndex
    ) -> None:
        index.fault(Redirect(f"http://{stranger.files_host}{demo.path}"), "*.whl")
        for ask in (read(upstream, demo.url), upstream.fetch_size(demo.url)):
            with pytest.raises(UpstreamBroken, match="file_hosts"):
                await ask
        assert stranger.count() == 0

    @pytest.mark.parametrize("scheme", ["http://", "https://", "//", ""])
    async def test_a_link_that_was_stored_under_another_config_is_not_followed(
        self, upstream: HttpUpstream, stranger: FakeIndex, scheme: str
    ) -> None:
        url = f"{scheme}{stranger.files_host}/packages/demo-1.0.zip"
        for ask in (read(upstream, url), upstream.fetch_size(url), upstream.fetch_provenance(url)):
            with pytest.raises(UpstreamBroken):
                await ask
        assert stranger.count() == 0


class TestCredentials:
    BASIC = f"Basic {b64encode('ann:sécret'.encode()).decode()}"

    @pytest.fixture
    async def upstream(self, connect: Connect, settings: Upstream) -> HttpUpstream:
        return await connect(replace(settings, username="ann", password="sécret"))

    def told(self, index: FakeIndex) -> list[tuple[str, str | None]]:
        return [(ask.host, ask.headers.get("Authorization")) for ask in index.requests]

    async def test_the_upstreams_own_host_is_told(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        await page_of(upstream)
        await read(upstream, f"http://{index.pages_host}{demo.path}")
        assert self.told(index) == [("pages", self.BASIC)] * 2

    async def test_its_file_host_is_not(self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File) -> None:
        await read(upstream, demo.url)
        await upstream.fetch_size(demo.url)
        assert self.told(index) == [("files", None)] * 2

    async def test_nor_is_it_after_a_redirect(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        index.fault(Redirect(demo.url), host="pages")
        await read(upstream, f"http://{index.pages_host}/anything")
        assert self.told(index) == [("pages", self.BASIC), ("files", None)]

    async def test_back_at_home_they_are_told_again(
        self, index: FakeIndex, upstream: HttpUpstream, demo: fake_index.File
    ) -> None:
        index.fault(Redirect(f"http://{index.pages_host}{demo.path}"), host="files")
        assert await read(upstream, demo.url) == demo.data
        assert self.told(index) == [("files", None), ("pages", self.BASIC)]

    async def test_without_a_user_name_nobody_is(self, index: FakeIndex, connect: Connect, settings: Upstream) -> None:
        await page_of(await connect(settings))
        assert self.told(index) == [("pages", None)]

    @pytest.mark.parametrize("fault", [Status(401), Refuse(), RedirectLoop(), Status(200, {}, b"?")], ids=kind)
    async def test_no_message_holds_them(
        self, index: FakeIndex, upstream: HttpUpstream, fault: fake_index.Fault
    ) -> None:
        index.fault(fault, PAGE)
        with pytest.raises(UpstreamTrouble) as caught:
            await upstream.fetch_page(DEMO, None)
        assert "cret" not in caught.value.message
        assert "sécret" not in repr(upstream.settings)

    async def test_no_cookie_is_kept(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.fault(Status(503, {"Set-Cookie": "session=1; Path=/"}), PAGE, times=1)
        await page_of(upstream)
        assert all("Cookie" not in ask.headers for ask in index.requests)
