"""The fake upstream must be right before it can prove anything about the product."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import threading
import urllib.request
import zlib
from html.parser import HTMLParser
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin

import aiohttp
import pytest

from tests.builders import build_sdist, build_wheel
from tests.fake_index import (
    POOR,
    BrokenGzip,
    Delivery,
    Dialect,
    Drip,
    Endless,
    EndlessHead,
    FakeIndex,
    Gate,
    GzipBomb,
    Hang,
    HtmlError,
    InvalidJson,
    NotHttp,
    OlderPage,
    Redirect,
    RedirectLoop,
    Refuse,
    Reset,
    Rewrite,
    ShorterPage,
    Snap,
    Status,
    ThreadedFakeIndex,
    Truncated,
    WrongBytes,
    WrongType,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from multidict import CIMultiDictProxy

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
DEMO = "/simple/demo/"


class Answered(NamedTuple):
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


class Client:
    """Requests that follow no redirect and undo no encoding."""

    def __init__(self, session: aiohttp.ClientSession, index: FakeIndex) -> None:
        self.session = session
        self.origin = f"http://{index.pages_host}"

    async def get(self, target: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answered:
        url = urljoin(self.origin, target)
        async with self.session.request(method, url, headers=headers, allow_redirects=False) as response:
            return Answered(response.status, response.headers, await response.read())

    async def page(self, target: str = DEMO) -> dict[str, object]:
        """A JSON page, decoded."""
        answered = await self.get(target, {"Accept": JSON})
        assert answered.headers["Content-Type"] == JSON
        page: dict[str, object] = json.loads(answered.body)
        return page

    async def entry(self) -> dict[str, object]:
        """The one file on the page of `demo`."""
        files = (await self.page())["files"]
        assert isinstance(files, list)
        assert len(files) == 1
        only: dict[str, object] = files[0]
        return only


class Anchor(NamedTuple):
    text: str
    attributes: dict[str, str | None]


class Links(HTMLParser):
    """The anchors, metas and base of a page."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.anchors: list[Anchor] = []
        self.metas: dict[str | None, str | None] = {}
        self.base: str | None = None
        self.feed(body.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "a":
            self.anchors.append(Anchor("", attributes))
        elif tag == "meta":
            self.metas[attributes.get("name")] = attributes.get("content")
        elif tag == "base":
            self.base = attributes["href"]

    def handle_data(self, data: str) -> None:
        if self.anchors and not self.anchors[-1].text:
            self.anchors[-1] = self.anchors[-1]._replace(text=data)


@pytest.fixture
async def index() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        yield index


@pytest.fixture
async def client(index: FakeIndex) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(headers={"Accept-Encoding": "identity"}, auto_decompress=False) as session:
        yield Client(session, index)


# Pages


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "text/html"),
        ("text/html", "text/html"),
        (HTML, HTML),
        (f"{JSON}, {HTML}; q=0.1, text/html; q=0.01", JSON),
        (f"{JSON};q=0.1, text/html;q=0.9", "text/html"),
        (f"{JSON};q=0, */*", "text/html"),
        ("text/html;q=0.9, application/vnd.pypi.simple.latest+json;q=0.95, */*;q=0.1", JSON),
        ("application/xml", "text/html"),
    ],
)
async def test_accept_chooses_the_representation(index: FakeIndex, client: Client, accept: str, expected: str) -> None:
    index.add_wheel("demo", "1.0")
    answered = await client.get(DEMO, {"Accept": accept})
    assert answered.headers["Content-Type"] == expected
    assert "Accept" in answered.headers["Vary"]


async def test_json_page_says_what_is_known_of_a_file(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel(
        "Demo", "1.0", requires_python=">=3.8,<4", yanked="a < b", provenance=b"{}", extra={"x": 1}
    )
    assert await client.entry() == {
        "filename": "demo-1.0-py3-none-any.whl",
        "url": f"http://{index.files_host}{wheel.path}",
        "hashes": {"sha256": wheel.sha256},
        "size": len(wheel.data),
        "upload-time": "2024-01-02T03:04:05.000006Z",
        "requires-python": ">=3.8,<4",
        "yanked": "a < b",
        "core-metadata": wheel.core_metadata,
        "data-dist-info-metadata": wheel.core_metadata,
        "provenance": f"http://{index.pages_host}/integrity/demo/1.0/demo-1.0-py3-none-any.whl/provenance",
        "x": 1,
    }


async def test_json_page_lists_versions_and_status(index: FakeIndex, client: Client) -> None:
    for version in ("1.10", "1.9", "1!0"):
        index.add_sdist("demo", version)
    index.add_wheel("demo", "1.9")
    index.add_file("demo", "demo-1.9-py2.7.egg", b"an egg")
    index.set_status("demo", "deprecated", "use demo2")
    page = await client.page()
    assert page["name"] == "demo"
    assert page["versions"] == ["1.9", "1.10", "1!0"]
    assert page["project-status"] == {"status": "deprecated", "reason": "use demo2"}
    assert page["meta"] == {"api-version": "1.4", "_last-serial": 6}


async def test_html_page_says_the_same(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0", requires_python=">=3.8,<4", yanked='a "<b>" & c', provenance=b"{}")
    index.add_sdist("demo", "0.9", yanked=True)
    index.set_status("demo", "archived")
    body = (await client.get(DEMO)).body
    assert b"&gt;=3.8,&lt;4" in body
    page = Links(body)
    assert page.metas["pypi:repository-version"] == "1.4"
    assert page.metas["pypi:project-status"] == "archived"
    digest = hashlib.sha256(wheel.metadata or b"").hexdigest()
    assert page.anchors[0] == Anchor(
        wheel.filename,
        {
            "href": f"{wheel.url}#sha256={wheel.sha256}",
            "data-requires-python": ">=3.8,<4",
            "data-yanked": 'a "<b>" & c',
            "data-core-metadata": f"sha256={digest}",
            "data-dist-info-metadata": f"sha256={digest}",
            "data-provenance": f"http://{index.pages_host}{wheel.provenance_path}",
        },
    )
    assert set(page.anchors[1].attributes) == {"href", "data-yanked"}
    assert page.anchors[1].attributes["data-yanked"] == ""


async def test_provenance_document_is_served(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0", provenance=b'{"version": 1}')
    assert wheel.provenance_path is not None
    assert (await client.get(wheel.provenance_path)).body == b'{"version": 1}'
    assert (await client.get(wheel.provenance_path.replace("demo", "other"))).status == 404


async def test_root_lists_projects_but_not_quarantined_ones(index: FakeIndex, client: Client) -> None:
    for name in ("zlib", "Alpha", "bad"):
        index.add_project(name)
    index.set_status("bad", "quarantined", "malware")
    assert (await client.page("/simple/"))["projects"] == [{"name": "alpha"}, {"name": "zlib"}]
    root = Links((await client.get("/simple/")).body)
    assert [(a.text, a.attributes["href"]) for a in root.anchors] == [
        ("alpha", "/simple/alpha/"),
        ("zlib", "/simple/zlib/"),
    ]


async def test_quarantine_empties_the_page(index: FakeIndex, client: Client) -> None:
    index.add_wheel("demo", "1.0")
    index.set_status("demo", "quarantined", "malware")
    page = await client.page()
    assert page["files"] == []
    assert page["project-status"] == {"status": "quarantined", "reason": "malware"}


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/simple", "/simple/"),
        ("/simple/my-pkg", "/simple/my-pkg/"),
        ("/simple/My_.Pkg/", "/simple/my-pkg/"),
        ("/simple/My.Pkg/?format=x", "/simple/my-pkg/?format=x"),
    ],
)
async def test_other_spellings_redirect(client: Client, target: str, location: str) -> None:
    answered = await client.get(target)
    assert (answered.status, answered.headers["Location"]) == (301, location)


@pytest.mark.parametrize(
    "target", ["/simple/nope/", "/", "/packages/aa/bb/cc/nope-1.0.tar.gz", "/packages/x.metadata"]
)
async def test_what_is_not_there_is_404(client: Client, target: str) -> None:
    assert (await client.get(target)).status == 404


async def test_pages_are_not_on_the_file_host(index: FakeIndex, client: Client) -> None:
    index.add_wheel("demo", "1.0")
    assert (await client.get(f"http://{index.files_host}{DEMO}")).status == 404


async def test_other_methods_are_405(client: Client) -> None:
    assert (await client.get("/simple/", method="POST")).status == 405


async def test_pages_may_be_kept_for_ten_minutes_and_revalidated(index: FakeIndex, client: Client) -> None:
    index.add_wheel("demo", "1.0")
    page = await client.get(DEMO, {"Accept": JSON})
    assert "max-age=600" in page.headers["Cache-Control"]
    condition = {"Accept": JSON, "If-None-Match": f'"other", {page.headers["ETag"]}'}
    again = await client.get(DEMO, condition)
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", page.headers["ETag"])
    html = await client.get(DEMO)
    assert html.headers["ETag"] != page.headers["ETag"]
    index.add_wheel("demo", "2.0")
    assert (await client.get(DEMO, condition)).status == 200


async def test_pages_are_zipped_for_who_asks(index: FakeIndex, client: Client) -> None:
    index.add_wheel("demo", "1.0")
    plain = await client.get(DEMO)
    zipped = await client.get(DEMO, {"Accept-Encoding": "gzip, deflate"})
    assert "Content-Encoding" not in plain.headers
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert zlib.decompress(zipped.body, wbits=zlib.MAX_WBITS | 16) == plain.body


async def test_head_of_a_page_has_no_body(index: FakeIndex, client: Client) -> None:
    index.add_wheel("demo", "1.0")
    page = await client.get(DEMO)
    head = await client.get(DEMO, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["Content-Length"]) == len(page.body)
    assert index.bytes_sent(DEMO) == len(page.body)


async def test_removals_show_at_once(index: FakeIndex, client: Client) -> None:
    wheel, sdist = index.add_wheel("demo", "1.0"), index.add_sdist("demo", "1.0")
    index.remove_file(wheel)
    assert (await client.entry())["filename"] == sdist.filename
    assert (await client.get(wheel.url)).status == 404
    index.remove("demo")
    assert (await client.get(DEMO)).status == 404
    assert (await client.get(sdist.url)).status == 404


async def test_a_filename_added_again_replaces_the_file(index: FakeIndex, client: Client) -> None:
    old = index.add_file("demo", "demo-1.0.tar.gz", b"old")
    new = index.add_file("demo", "demo-1.0.tar.gz", b"new")
    assert (await client.entry())["hashes"] == {"sha256": new.sha256}
    assert (await client.get(old.url)).status == 404
    assert (await client.get(new.url)).body == b"new"


async def test_a_page_is_rendered_once_until_it_changes(index: FakeIndex, client: Client) -> None:
    for number in range(3000):
        index.add_file("big", f"big-1.{number}.tar.gz", b"%d" % number)
    first = await client.page("/simple/big/")
    assert len(first["files"] if isinstance(first["files"], list) else []) == 3000
    kept = dict(index._site._pages)
    await client.page("/simple/big/")
    assert all(index._site._pages[key] is page for key, page in kept.items())


# Lies and gaps that a page can have


async def test_upload_time_can_be_left_out_or_misspelt(index: FakeIndex, client: Client) -> None:
    index.add_wheel("demo", "1.0", upload_time=None)
    assert "upload-time" not in await client.entry()
    index.add_wheel("demo", "1.0", upload_time="yesterday")
    assert (await client.entry())["upload-time"] == "yesterday"


async def test_hashes_and_link_can_be_anything(index: FakeIndex, client: Client) -> None:
    index.add_wheel("demo", "1.0", hashes={"md5": "0" * 32}, link="http://169.254.169.254/x.whl")
    entry = await client.entry()
    assert entry["hashes"] == {"md5": "0" * 32}
    assert entry["url"] == "http://169.254.169.254/x.whl"
    anchor = Links((await client.get(DEMO)).body).anchors[0]
    assert anchor.attributes["href"] == f"http://169.254.169.254/x.whl#md5={'0' * 32}"


async def test_core_metadata_is_the_wheels_own(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0", requires_dist=["six>=1"])
    served = await client.get(f"{wheel.url}.metadata")
    assert served.body == wheel.metadata
    assert b"Requires-Dist: six>=1\n" in served.body
    assert (await client.entry())["core-metadata"] == {"sha256": hashlib.sha256(served.body).hexdigest()}


async def test_core_metadata_can_be_wrong_missing_unhashed_or_none(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0", core_metadata="wrong")
    served = await client.get(f"{wheel.url}.metadata")
    assert (await client.entry())["core-metadata"] != {"sha256": hashlib.sha256(served.body).hexdigest()}
    wheel = index.add_wheel("demo", "1.0", core_metadata="missing")
    assert (await client.entry())["core-metadata"] == {"sha256": hashlib.sha256(served.body).hexdigest()}
    assert (await client.get(f"{wheel.url}.metadata")).status == 404
    index.add_wheel("demo", "1.0", core_metadata="unhashed")
    assert (await client.entry())["core-metadata"] is True
    assert (await client.get(f"{wheel.url}.metadata")).status == 200
    index.add_wheel("demo", "1.0", core_metadata=False)
    assert (await client.entry())["core-metadata"] is False
    assert (await client.get(f"{wheel.url}.metadata")).status == 404


async def test_poor_index_offers_html_and_nothing_else() -> None:
    async with FakeIndex(poor=True) as index, aiohttp.ClientSession() as session:
        client = Client(session, index)
        wheel = index.add_wheel("demo", "1.0", requires_python=">=3.8")
        page = await client.get(DEMO, {"Accept": JSON, "If-None-Match": "*"})
        assert (page.status, page.headers["Content-Type"]) == (200, "text/html")
        assert not {"ETag", "Cache-Control", "Last-Modified", "Content-Encoding"} & set(page.headers)
        anchor = Links(page.body).anchors[0]
        assert set(anchor.attributes) == {"href", "data-requires-python"}
        href = anchor.attributes["href"]
        assert href == f"../..{wheel.path}#sha256={wheel.sha256}"
        assert (await client.get(urljoin(DEMO, href))).body == wheel.data
        assert (await client.get(f"{wheel.url}.metadata")).status == 404


async def test_links_can_be_relative_to_a_base(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0")
    index.dialect = Dialect(links="base")
    page = Links((await client.get(DEMO)).body)
    href = page.anchors[0].attributes["href"]
    assert page.base is not None
    assert href is not None
    assert not href.startswith("http")
    assert urljoin(page.base, href) == f"{wheel.url}#sha256={wheel.sha256}"
    assert (await client.entry())["url"] == wheel.url


async def test_the_dialect_can_change_at_any_time(index: FakeIndex, client: Client) -> None:
    index.add_wheel("demo", "1.0")
    assert "ETag" in (await client.get(DEMO)).headers
    index.dialect = Dialect(etags=False)
    assert "ETag" not in (await client.get(DEMO, {"If-None-Match": "*"})).headers
    index.dialect = POOR
    assert b"data-core-metadata" not in (await client.get(DEMO)).body


# Files


async def test_a_file_is_immutable_and_validated_by_its_digest(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0")
    answered = await client.get(wheel.url)
    assert answered.body == wheel.data
    assert "immutable" in answered.headers["Cache-Control"]
    assert answered.headers["Accept-Ranges"] == "bytes"
    again = await client.get(wheel.url, {"If-None-Match": answered.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    head = await client.get(wheel.url, method="HEAD")
    assert (int(head.headers["Content-Length"]), head.body) == (len(wheel.data), b"")


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
async def test_single_ranges(
    index: FakeIndex, client: Client, asked: str, status: int, body: bytes, content_range: str | None
) -> None:
    file = index.add_file("demo", "demo-1.0.tar.gz", b"0123456789")
    answered = await client.get(file.url, {"Range": asked})
    assert (answered.status, answered.body, answered.headers.get("Content-Range")) == (status, body, content_range)


async def test_if_range_guards_the_range(index: FakeIndex, client: Client) -> None:
    file = index.add_file("demo", "demo-1.0.tar.gz", b"0123456789")
    assert (await client.get(file.url, {"Range": "bytes=1-2", "If-Range": f'"{file.sha256}"'})).body == b"12"
    assert (await client.get(file.url, {"Range": "bytes=1-2", "If-Range": '"other"'})).body == b"0123456789"


async def test_ranges_can_be_switched_off(index: FakeIndex, client: Client) -> None:
    file = index.add_file("demo", "demo-1.0.tar.gz", b"0123456789")
    index.dialect = Dialect(ranges=False)
    answered = await client.get(file.url, {"Range": "bytes=1-2"})
    assert (answered.status, answered.body) == (200, b"0123456789")
    assert "Accept-Ranges" not in answered.headers


async def test_filenames_with_plus_and_exclamation_mark(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1!2.0+cu121")
    assert (await client.get(wheel.url)).body == wheel.data
    assert index.count("GET", wheel.path) == 1


# Faults in what is said


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "body"),
    [
        (Status(503, {"Content-Type": "text/plain"}, b"busy"), 503, "text/plain", b"busy"),
        (HtmlError(), 200, "text/html", HtmlError().body),
        (InvalidJson(), 200, JSON, InvalidJson().body),
        (WrongType("image/png"), 200, "image/png", None),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_wrong_answers(
    index: FakeIndex, client: Client, fault: Rewrite, status: int, content_type: str, body: bytes | None
) -> None:
    index.add_wheel("demo", "1.0")
    honest = await client.get(DEMO, {"Accept": JSON})
    index.fault(fault, DEMO)
    answered = await client.get(DEMO, {"Accept": JSON, "If-None-Match": honest.headers["ETag"]})
    assert (answered.status, answered.headers["Content-Type"]) == (status, content_type)
    assert answered.body == (honest.body if body is None else body)


def test_the_invalid_json_is_invalid() -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(InvalidJson().body)


@pytest.mark.parametrize("accept_encoding", ["gzip", "identity"])
async def test_broken_gzip_cannot_be_inflated(index: FakeIndex, client: Client, accept_encoding: str) -> None:
    index.add_wheel("demo", "1.0")
    index.fault(BrokenGzip(), DEMO)
    answered = await client.get(DEMO, {"Accept-Encoding": accept_encoding})
    assert answered.headers["Content-Encoding"] == "gzip"
    with pytest.raises(zlib.error, match="invalid block type"):
        zlib.decompress(answered.body, wbits=zlib.MAX_WBITS | 16)


async def test_gzip_bomb_is_small_until_inflated(index: FakeIndex, client: Client) -> None:
    index.add_wheel("demo", "1.0")
    index.fault(GzipBomb(mebibytes=8), DEMO)
    answered = await client.get(DEMO)
    assert answered.headers["Content-Encoding"] == "gzip"
    assert len(answered.body) < 64 * 1024
    assert len(zlib.decompress(answered.body, wbits=zlib.MAX_WBITS | 16)) == 8 * 1024 * 1024


async def test_wrong_bytes_keep_the_length(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0")
    last = index.fault(WrongBytes(), "*.whl")
    body = (await client.get(wheel.url)).body
    assert (len(body), body[:-1]) == (len(wheel.data), wheel.data[:-1])
    assert body[-1] != wheel.data[-1]
    index.clear_faults(last)
    index.fault(WrongBytes(at=0), "*.whl")
    assert (await client.get(wheel.url)).body[1:] == wheel.data[1:]


async def test_redirects(index: FakeIndex, client: Client) -> None:
    index.fault(Redirect("http://elsewhere.test/x", 307), times=1)
    answered = await client.get(DEMO)
    assert (answered.status, answered.headers["Location"]) == (307, "http://elsewhere.test/x")
    index.fault(RedirectLoop())
    with pytest.raises(aiohttp.TooManyRedirects):
        await client.session.get(index.simple_url, max_redirects=3)


@pytest.mark.parametrize("accept_encoding", ["gzip", "identity"])
async def test_an_older_page_has_a_lower_serial_and_lacks_the_newest_file(
    index: FakeIndex, client: Client, accept_encoding: str
) -> None:
    older = index.add_wheel("demo", "1.0")
    index.add_wheel("demo", "2.0")
    honest = await client.get(DEMO, {"Accept": JSON})
    index.fault(OlderPage(), DEMO)
    answered = await client.get(DEMO, {"Accept": JSON, "Accept-Encoding": accept_encoding})
    page = json.loads(answered.body)
    serial = int(honest.headers["X-PyPI-Last-Serial"]) - 1
    assert [file["filename"] for file in page["files"]] == [older.filename]
    assert (page["meta"]["_last-serial"], answered.headers["X-PyPI-Last-Serial"]) == (serial, str(serial))
    assert answered.headers["ETag"] != honest.headers["ETag"]


async def test_a_shorter_page_keeps_its_serial(index: FakeIndex, client: Client) -> None:
    kept = index.add_wheel("demo", "1.0")
    index.add_wheel("demo", "2.0")
    honest = await client.get(DEMO, {"Accept": JSON})
    index.fault(ShorterPage(keep=1), DEMO)
    answered = await client.get(DEMO, {"Accept": JSON, "If-None-Match": honest.headers["ETag"]})
    assert [file["filename"] for file in json.loads(answered.body)["files"]] == [kept.filename]
    assert answered.headers["X-PyPI-Last-Serial"] == honest.headers["X-PyPI-Last-Serial"]
    assert answered.headers["ETag"] != honest.headers["ETag"]


async def test_what_is_no_page_is_neither_older_nor_shorter(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0")
    for fault in (OlderPage(), ShorterPage()):
        rule = index.fault(fault)
        assert (await client.get(wheel.url)).body == wheel.data
        assert (await client.get("/simple/absent/")).status == 404
        index.clear_faults(rule)


# Faults in how it is sent


async def test_refuse_answers_nothing(index: FakeIndex, client: Client) -> None:
    index.fault(Refuse())
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.get(DEMO, method="POST")
    assert index.count("POST", DEMO) == 1


@pytest.mark.parametrize("fault", [Truncated(), Truncated(chunked=True), Truncated(after=0)], ids=repr)
async def test_truncated_bodies_end_before_their_end(index: FakeIndex, client: Client, fault: Truncated) -> None:
    wheel = index.add_wheel("demo", "1.0", size_padding=300_000)
    index.fault(fault, "*.whl")
    expected = len(wheel.data) // 2 if fault.after is None else fault.after
    async with client.session.get(wheel.url) as response:
        assert response.status == 200
        assert response.headers.get("Transfer-Encoding") == ("chunked" if fault.chunked else None)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert index.bytes_sent(wheel.path) == expected


async def test_drip_sends_it_all_in_many_pieces(index: FakeIndex, client: Client) -> None:
    file = index.add_file("demo", "demo-1.0.tar.gz", b"0123456789")
    index.fault(Drip(size=3, delay=0.01), "*.gz")
    async with client.session.get(file.url) as response:
        pieces = [piece async for piece in response.content.iter_any()]
    assert b"".join(pieces) == file.data
    assert len(pieces) > 1


async def test_endless_goes_on_until_the_client_leaves(index: FakeIndex, client: Client) -> None:
    index.add_wheel("demo", "1.0")
    index.fault(Endless(), DEMO)
    async with client.session.get(index.simple_url + "demo/") as response:
        await response.content.readexactly(1024 * 1024)
    await index.until(lambda: index.abandoned(DEMO) == 1)


async def test_reset_loses_what_was_not_read(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0", size_padding=300_000)
    index.fault(Reset(), times=1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.get(wheel.url, method="POST")
    index.fault(Reset(after=100_000), "*.whl", times=1)
    with pytest.raises((aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)):
        await client.get(wheel.url)
    assert index.bytes_sent(wheel.path) == 100_000
    assert (await client.get(wheel.url)).body == wheel.data


async def test_snap_breaks_off_when_it_opens(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0", size_padding=200_000)
    snap = index.fault(Snap(after=100), "*.whl", times=1)
    async with client.session.get(wheel.url) as response:
        await snap.waiting()
        assert await response.content.readexactly(100) == wheel.data[:100]
        snap.open()
        with pytest.raises((aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)):
            await response.read()
    assert (await client.get(wheel.url)).body == wheel.data


async def test_what_is_not_http_cannot_be_read(index: FakeIndex, client: Client) -> None:
    index.fault(NotHttp(), DEMO)
    with pytest.raises(aiohttp.ClientError):
        await client.get(DEMO)
    assert index.count("GET", DEMO) == 1


@pytest.mark.parametrize("delay", [0, 0.001])
async def test_an_endless_head_never_becomes_an_answer(index: FakeIndex, client: Client, delay: float) -> None:
    index.fault(EndlessHead(delay), DEMO)
    with pytest.raises((aiohttp.ClientError, TimeoutError)):
        async with asyncio.timeout(1):
            await client.get(DEMO)
    await index.until(lambda: index.abandoned(DEMO) == 1)


async def test_hang_holds_the_answer_until_it_is_cleared(index: FakeIndex, client: Client) -> None:
    index.add_wheel("demo", "1.0")
    hang = index.fault(Hang(), DEMO)
    answer = asyncio.create_task(client.get(DEMO))
    await hang.waiting()
    assert index.bytes_sent() == 0
    index.clear_faults()
    assert (await answer).status == 200
    assert (await client.get(DEMO)).status == 200


async def test_hang_ends_with_its_client(index: FakeIndex, client: Client) -> None:
    hang = index.fault(Hang())
    answer = asyncio.create_task(client.get(DEMO))
    await hang.waiting()
    answer.cancel()
    await index.until(lambda: index.abandoned(DEMO) == 1)


async def test_gate_shows_the_first_bytes_and_holds_the_rest(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0", size_padding=200_000)
    gate = index.fault(Gate(after=100), "*.whl")
    async with client.session.get(wheel.url) as response:
        await gate.waiting()
        assert await response.content.readexactly(100) == wheel.data[:100]
        assert index.bytes_sent(wheel.path) == 100
        gate.open()
        assert await response.read() == wheel.data[100:]
    assert (await client.get(wheel.url)).body == wheel.data
    assert gate.arrived == 2


async def test_gate_can_show_the_head_alone(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0")
    gate = index.fault(Gate(after=0), "*.whl")
    async with client.session.get(wheel.url) as response:
        assert int(response.headers["Content-Length"]) == len(wheel.data)
        gate.open()
        assert await response.read() == wheel.data


async def test_gate_counts_who_waits(index: FakeIndex, client: Client) -> None:
    gate = index.fault(Gate(after=None))
    answers = [asyncio.create_task(client.get(f"/simple/p{n}/")) for n in range(5)]
    await gate.waiting(5)
    with pytest.raises(TimeoutError):
        await gate.waiting(6, seconds=0.01)
    assert not any(answer.done() for answer in answers)
    gate.open()
    assert {(await answer).status for answer in answers} == {404}


async def test_gate_lets_a_304_pass_when_it_holds_no_body(index: FakeIndex, client: Client) -> None:
    index.add_wheel("demo", "1.0")
    etag = (await client.get(DEMO)).headers["ETag"]
    index.fault(Gate(after=None), DEMO).open()
    assert (await client.get(DEMO, {"If-None-Match": etag})).status == 304


# Which requests a fault meets


async def test_faults_run_out_in_order(index: FakeIndex, client: Client) -> None:
    index.add_wheel("demo", "1.0")
    index.fault(Status(503), DEMO, times=2)
    index.fault(Status(429), "/simple/*", times=1)
    assert [(await client.get(DEMO)).status for _ in range(4)] == [503, 503, 429, 200]


async def test_faults_choose_path_method_and_host(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0")
    index.fault(Status(500), method="HEAD")
    index.fault(Status(501), host="files")
    assert (await client.get(DEMO)).status == 200
    assert (await client.get(DEMO, method="HEAD")).status == 500
    assert (await client.get(wheel.path)).status == 200
    assert (await client.get(wheel.url)).status == 501


async def test_a_rewrite_and_a_delivery_work_together(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0")
    gate = index.fault(Gate(after=10), "*.whl")
    index.fault(WrongBytes(), "*.whl")
    gate.open()
    body = (await client.get(wheel.url)).body
    assert body[:-1] == wheel.data[:-1]
    assert body != wheel.data


async def test_clearing_one_fault_leaves_the_others(index: FakeIndex, client: Client) -> None:
    first, second = Status(500), Status(500)
    assert first == second
    index.fault(first, DEMO)
    index.fault(second, "/simple/other/")
    index.clear_faults(first)
    assert (await client.get(DEMO)).status == 404
    assert (await client.get("/simple/other/")).status == 500


def test_each_fault_is_of_one_sort() -> None:
    faults = (Status, WrongType, HtmlError, InvalidJson, BrokenGzip, GzipBomb, WrongBytes, Redirect, RedirectLoop)
    assert all(issubclass(fault, Rewrite) for fault in (*faults, OlderPage, ShorterPage))
    deliveries = (Refuse, Hang, Gate, Drip, Truncated, Endless, Reset, Snap, NotHttp, EndlessHead)
    assert all(issubclass(fault, Delivery) for fault in deliveries)


# Counters, down and up, threads


async def test_requests_are_recorded(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0")
    await client.get(f"{DEMO}?format=x", {"Authorization": "Basic eDp5"})
    await client.get(wheel.url, method="HEAD")
    page, file = index.requests
    assert (page.host, page.method, page.path, page.query) == ("pages", "GET", DEMO, "format=x")
    assert page.headers["authorization"] == "Basic eDp5"
    assert (file.host, file.method, file.path) == ("files", "HEAD", wheel.path)
    assert (index.count(), index.count("GET"), index.count(match="*.whl"), index.count("GET", wheel.path)) == (
        2,
        1,
        1,
        0,
    )
    index.clear_requests()
    assert (index.requests, index.bytes_sent()) == ([], 0)


async def test_connections_are_counted_also_those_over_which_nothing_is_asked(
    index: FakeIndex, client: Client
) -> None:
    assert index.connections == 0
    _, writer = await asyncio.open_connection(*index.pages_host.split(":"))
    await index.until(lambda: index.connections == 1)
    writer.close()
    await client.get(DEMO)
    await index.down()
    await index.up()
    await client.get(DEMO)
    assert (index.connections, index.count()) == (3, 2)


async def test_down_refuses_and_up_answers_on_the_same_ports(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0")
    await client.get(DEMO)
    await index.down()
    await index.down()
    for target in (DEMO, wheel.url):
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await client.get(target)
        assert isinstance(refused.value.os_error, ConnectionRefusedError)
    await index.up()
    await index.up()
    assert (await client.get(DEMO)).status == 200
    assert (await client.get(wheel.url)).body == wheel.data


async def test_down_breaks_off_what_is_running(index: FakeIndex, client: Client) -> None:
    wheel = index.add_wheel("demo", "1.0")
    gate = index.fault(Gate(after=10), "*.whl")
    async with client.session.get(wheel.url) as response:
        await gate.waiting()
        await index.down()
        with pytest.raises((aiohttp.ClientPayloadError, ConnectionResetError)):
            await response.read()
    await index.until(lambda: index.abandoned(wheel.path) == 1)


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - our own http URL
        body: bytes = response.read()
        return body


def test_in_a_thread_everything_works_without_a_loop() -> None:
    with ThreadedFakeIndex() as index:
        wheel = index.add_wheel("demo", "1.0")
        gate = index.fault(Gate(after=10), "*.whl")
        bodies: list[bytes] = []
        reader = threading.Thread(target=lambda: bodies.append(_get(wheel.url)))
        reader.start()
        gate.block_until_waiting()
        assert not bodies
        gate.open()
        reader.join(10)
        assert bodies == [wheel.data]
        index.until(lambda: index.count("GET", wheel.path) == 1)


def test_in_a_thread_it_goes_down_and_up() -> None:
    with ThreadedFakeIndex() as index:
        index.add_wheel("demo", "1.0")
        index.down()
        with pytest.raises(OSError, match="refused"):
            _get(f"{index.simple_url}demo/")
        index.up()
        assert b"demo-1.0" in _get(f"{index.simple_url}demo/")


# Real clients and the builders


def _run(*command: str | Path) -> str:
    """Run a client that knows no configuration but ours; its output, for the message where it fails."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_"))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _pip(command: str, index: ThreadedFakeIndex, *arguments: str | Path) -> str:
    options = ("--isolated", "--disable-pip-version-check", "--no-cache-dir", "--index-url", index.simple_url)
    return _run(sys.executable, "-m", "pip", command, *options, *arguments)


@pytest.mark.parametrize("poor", [False, True], ids=["rich", "poor"])
def test_pip_downloads_from_it(tmp_path: Path, poor: bool) -> None:  # noqa: FBT001 - a parameter of the case
    with ThreadedFakeIndex(poor=poor) as index:
        wheel = index.add_wheel("demo", "1.0", requires_dist=["not-there"])
        _pip("download", index, "--no-deps", "--dest", tmp_path, "demo")
        assert (tmp_path / wheel.filename).read_bytes() == wheel.data
        assert index.count("GET", DEMO) == 1


def test_pip_installs_a_wheel_and_an_sdist(tmp_path: Path) -> None:
    with ThreadedFakeIndex() as index:
        index.add_wheel("demo", "1.0", requires_dist=["dep>=2"], modules={"demo/__init__.py": "import dep\n"})
        index.add_sdist("dep", "2.0", modules={"dep.py": "WORD = 'built'\n"})
        _pip("install", index, "--target", tmp_path, "demo")
    script = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; import demo; print(demo.dep.WORD)"
    assert _run(sys.executable, "-c", script) == "built\n"


def test_uv_installs_from_it(tmp_path: Path) -> None:
    with ThreadedFakeIndex() as index:
        index.add_wheel("demo", "1.0", requires_dist=["dep>=2"])
        index.add_sdist("dep", "2.0")
        options = ("--no-config", "--no-cache", "--index-url", index.simple_url, "--python", sys.executable)
        _run(sys.executable, "-m", "uv", "pip", "install", *options, "--target", tmp_path, "demo")
    assert (tmp_path / "demo.py").exists()
    assert (tmp_path / "dep.py").exists()


def test_twine_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    for built in (build_wheel("Demo.Pkg", "1.0"), build_sdist("Demo.Pkg", "1.0")):
        (tmp_path / built.filename).write_bytes(built.data)
    _run(sys.executable, "-m", "twine", "check", *tmp_path.iterdir())


def test_the_same_call_builds_the_same_bytes() -> None:
    for build in (build_wheel, build_sdist):
        first, second = build("demo", "1.0", size_padding=1000), build("demo", "1.0", size_padding=1000)
        assert first == second
        assert first.sha256 == hashlib.sha256(first.data).hexdigest()
        assert 1000 < len(first.data) < 5000


def test_filenames_are_normalized() -> None:
    assert build_wheel("My.Pkg", "01.0", tag="py2.py3-none-any").filename == "my_pkg-1.0-py2.py3-none-any.whl"
    assert build_sdist("My.Pkg", "1.0-rc1").filename == "my_pkg-1.0rc1.tar.gz"
