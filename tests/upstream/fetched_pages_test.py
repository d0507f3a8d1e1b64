"""Pages from an honest upstream: each format, conditional requests, absence."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from proxy.core.digests import sha256_of
from proxy.core.errors import UpstreamBroken, UpstreamTrouble
from proxy.core.model import File, ProjectDetail, ProjectStatus, Status, Validators
from proxy.core.reach import Reach
from proxy.ports import Absent, NotModified
from tests import fake_index
from tests.fake_index import POOR, PYPI, Dialect, FakeIndex
from tests.upstream.asking import DEMO, HTML, JSON, PAGE, page_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from proxy.core.registry import Upstream
    from proxy.upstream import HttpUpstream

UPLOADED = datetime(2025, 5, 5, 5, 5, 5, 5, tzinfo=UTC)
EMPTY_PAGE = b'{"meta": {"api-version": "1.0"}, "name": "demo", "files": []}'


def test_it_has_the_name_and_reach_of_its_settings(upstream: HttpUpstream, settings: Upstream) -> None:
    assert upstream.name == "pypi"
    assert upstream.links == Reach.of(settings).text
    assert upstream.settings is settings


class TestFormats:
    async def test_a_page_in_json_has_all_that_pypi_tells(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        wheel = index.add_wheel(
            "demo", "1.0", requires_python=">=3.9", upload_time=UPLOADED, yanked="broken", provenance=b"{}"
        )
        index.set_status("demo", "deprecated", "use six")
        assert (await page_of(upstream)).detail == ProjectDetail(
            DEMO,
            files=(
                File(
                    filename=wheel.filename,
                    url=wheel.url,
                    hashes={"sha256": wheel.sha256},
                    size=len(wheel.data),
                    requires_python=">=3.9",
                    upload_time=UPLOADED,
                    yanked="broken",
                    core_metadata={"sha256": sha256_of(wheel.metadata or b"")},
                    provenance=f"http://{index.pages_host}{wheel.provenance_path}",
                ),
            ),
            versions=("1.0",),
            status=ProjectStatus(Status.DEPRECATED, "use six"),
        )

    async def test_a_poor_page_in_html_has_what_there_is(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.dialect = POOR
        wheel = index.add_wheel("demo", "1.0", requires_python=">=3.9")
        (file,) = (await page_of(upstream)).detail.files
        assert (file.filename, file.sha256, file.requires_python) == (wheel.filename, wheel.sha256, ">=3.9")
        assert file.url == f"http://{index.pages_host}{wheel.path}"
        assert (file.size, file.upload_time, file.core_metadata) == (None, None, False)

    @pytest.mark.parametrize(
        "dialect",
        [
            Dialect(json=json, gzip=gzip, links=links)
            for json in (True, False)
            for gzip in (True, False)
            for links in ("absolute", "relative", "base")
        ],
        ids=str,
    )
    @pytest.mark.parametrize("files", [1, 400])
    async def test_each_dialect_names_the_same_files(
        self, index: FakeIndex, upstream: HttpUpstream, dialect: Dialect, files: int
    ) -> None:
        index.dialect = dialect
        added = [index.add_file("demo", f"demo-1.{number}.zip", b"%d" % number) for number in range(files)]
        detail = (await page_of(upstream)).detail
        assert [(file.filename, file.sha256) for file in detail.files] == [(f.filename, f.sha256) for f in added]
        assert detail.skipped == ()

    async def test_json_is_preferred_and_html_accepted(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.add_project("demo")
        await page_of(upstream)
        accepted = [part.partition(";")[0].strip() for part in index.requests[0].headers["Accept"].split(",")]
        assert accepted == [JSON, HTML, "text/html"]

    async def test_zstd_is_understood_as_well(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        headers = {"Content-Type": JSON, "Content-Encoding": "zstd"}
        index.fault(fake_index.Status(200, headers, zstd.compress(EMPTY_PAGE)), PAGE)
        assert (await page_of(upstream)).detail == ProjectDetail(DEMO)

    async def test_a_quarantined_project_is_a_page_without_files(
        self, index: FakeIndex, upstream: HttpUpstream
    ) -> None:
        index.add_wheel("demo", "1.0")
        index.set_status("demo", "quarantined")
        detail = (await page_of(upstream)).detail
        assert (detail.files, detail.status.status) == ((), Status.QUARANTINED)

    async def test_files_that_may_not_be_linked_are_left_out_and_named(
        self, index: FakeIndex, upstream: HttpUpstream
    ) -> None:
        index.add_wheel("demo", "1.0")
        index.add_wheel("demo", "2.0", link="http://127.0.0.1:1/demo-2.0-py3-none-any.whl")
        index.add_wheel("demo", "3.0", hashes={"md5": "0" * 32})
        detail = (await page_of(upstream)).detail
        assert [file.filename for file in detail.files] == ["demo-1.0-py3-none-any.whl"]
        assert [one.filename for one in detail.skipped] == ["demo-2.0-py3-none-any.whl", "demo-3.0-py3-none-any.whl"]

    async def test_who_asks_says_its_name(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.add_project("demo")
        await page_of(upstream)
        assert index.requests[0].headers["User-Agent"].startswith("pypi-sidecar/")


class TestValidators:
    async def test_an_unchanged_page_is_not_sent_again(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.add_wheel("demo", "1.0")
        first = await page_of(upstream)
        assert first.validators.etag is not None
        assert await upstream.fetch_page(DEMO, first.validators) == NotModified()
        assert index.requests[-1].headers["If-None-Match"] == first.validators.etag

    async def test_a_changed_one_is(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.add_wheel("demo", "1.0")
        first = await page_of(upstream)
        index.add_wheel("demo", "2.0")
        second = await page_of(upstream, first.validators)
        assert len(second.detail.files) == 2
        assert second.validators != first.validators

    async def test_a_date_is_a_validator_too(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        date = "Wed, 21 Oct 2015 07:28:00 GMT"
        index.fault(fake_index.Status(200, {"Content-Type": JSON, "Last-Modified": date}, EMPTY_PAGE), PAGE)
        page = await page_of(upstream)
        assert page.validators == Validators(None, date)
        await page_of(upstream, page.validators)
        assert index.requests[-1].headers["If-Modified-Since"] == date
        assert "If-None-Match" not in index.requests[-1].headers

    async def test_without_any_the_page_is_asked_for_plainly(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.dialect = POOR
        index.add_project("demo")
        page = await page_of(upstream)
        assert page.validators == Validators()
        await page_of(upstream, page.validators)
        assert not {"If-None-Match", "If-Modified-Since"} & set(index.requests[-1].headers)

    async def test_what_could_not_be_sent_back_is_none(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.fault(fake_index.Status(200, {"Content-Type": JSON, "ETag": '"naïve"'}, EMPTY_PAGE), PAGE)
        assert (await page_of(upstream)).validators == Validators()

    async def test_an_unchanged_page_that_nobody_asked_about_is_trouble(
        self, index: FakeIndex, upstream: HttpUpstream
    ) -> None:
        index.fault(fake_index.Status(304), PAGE)
        with pytest.raises(UpstreamTrouble, match="answered 304"):
            await upstream.fetch_page(DEMO, None)


class TestAbsence:
    async def test_an_unknown_project_is_absent(self, upstream: HttpUpstream) -> None:
        assert await upstream.fetch_page(DEMO, None) == Absent()

    async def test_also_where_it_was_known(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.add_wheel("demo", "1.0")
        page = await page_of(upstream)
        index.remove("demo")
        assert await upstream.fetch_page(DEMO, page.validators) == Absent()

    async def test_a_project_without_files_is_not(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.add_project("demo")
        assert (await page_of(upstream)).detail == ProjectDetail(DEMO)

    @pytest.mark.parametrize("status", [401, 403, 410, 429, 500, 503])
    async def test_nothing_but_a_404_says_so(self, index: FakeIndex, upstream: HttpUpstream, status: int) -> None:
        index.fault(fake_index.Status(status), PAGE)
        with pytest.raises(UpstreamTrouble, match=f"answered {status} for demo"):
            await upstream.fetch_page(DEMO, None)

    @pytest.mark.parametrize("status", [204, 401, 403, 410, 451])
    async def test_what_would_be_the_same_is_not_asked_for_again_and_speaks_for_this_page_alone(
        self, index: FakeIndex, upstream: HttpUpstream, status: int
    ) -> None:
        index.fault(fake_index.Status(status), PAGE)
        with pytest.raises(UpstreamBroken):
            await upstream.fetch_page(DEMO, None)
        assert index.count() == 1

    async def test_offline_nobody_is_asked(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        upstream.offline = True
        with pytest.raises(UpstreamTrouble, match="offline"):
            await upstream.fetch_page(DEMO, None)
        assert index.requests == []


class TestPages:
    async def test_dialects_may_change_at_any_time(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        index.add_wheel("demo", "1.0")
        for dialect in (PYPI, POOR, PYPI):
            index.dialect = dialect
            assert len((await page_of(upstream)).detail.files) == 1

    async def test_the_names_own_spelling_is_asked_for(self, index: FakeIndex, upstream: HttpUpstream) -> None:
        await upstream.fetch_page(DEMO, None)
        assert [ask.path for ask in index.requests] == [PAGE]
