"""Laws of the simple API: a rendered page reads back as it was, nothing breaks out of HTML, any header is answered."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.core.distributions import version_of
from proxy.core.errors import NotAcceptable, UpstreamBroken
from proxy.core.model import File, ProjectDetail, ProjectList
from proxy.core.names import ProjectName
from proxy.core.negotiate import Encoding, Representation, choose_encoding, choose_representation, prefers_html
from proxy.core.parse import parse_detail
from proxy.core.render import escape, render_detail, render_list
from tests.property.strategies import details, hex_digits, hostile_texts, project_lists

PAGE = "https://index.example/simple/demo/"
HTML_KINDS = st.sampled_from([Representation.HTML, Representation.HTML_V1])


def parsed(page: bytes, representation: Representation, detail: ProjectDetail) -> ProjectDetail:
    return parse_detail(page, representation.content_type, url=PAGE, name=detail.name, may_link=lambda _: True)


def as_served_here(detail: ProjectDetail) -> ProjectDetail:
    """The same page with what rendering makes ours: where files and their provenance are."""
    return msgspec.structs.replace(detail, files=tuple(map(without_places, detail.files)))


def without_places(file: File) -> File:
    return msgspec.structs.replace(file, url="", provenance=None if file.provenance is None else "")


def as_html_holds(detail: ProjectDetail) -> ProjectDetail:
    """HTML knows one hash, no size, no time, no versions but those in file names, and cannot write NUL."""
    files = tuple(map(file_in_html, detail.files))
    covered = {str(version_of(file.filename, detail.name)) for file in files}
    status = msgspec.structs.replace(detail.status, reason=without_nul(detail.status.reason))
    versions = tuple(version for version in detail.versions if version in covered)
    return msgspec.structs.replace(detail, files=files, versions=versions, status=status)


def file_in_html(file: File) -> File:
    promise = file.core_metadata
    return msgspec.structs.replace(
        file,
        hashes={"sha256": file.sha256},
        size=None,
        upload_time=None,
        requires_python=without_nul(file.requires_python),
        yanked=file.yanked if isinstance(file.yanked, bool) else without_nul(file.yanked),
        core_metadata=promise if isinstance(promise, bool) else {"sha256": promise["sha256"]},
    )


def without_nul(text: str | None) -> str | None:
    return text and text.replace("\0", "\N{REPLACEMENT CHARACTER}")


class Outline(HTMLParser):
    """A document as another parser sees it: its tags in order, attributes of links, and text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[dict[str, str | None]] = []
        self.text: list[str] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "a":
            self.links.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if data.strip("\n"):
            self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)


@given(details())
def test_json_reads_back_as_it_was(detail: ProjectDetail) -> None:
    read = parsed(render_detail(detail, Representation.JSON), Representation.JSON, detail)
    assert as_served_here(read) == as_served_here(detail)


@given(details(), HTML_KINDS)
def test_html_reads_back_what_it_can_hold(detail: ProjectDetail, kind: Representation) -> None:
    read = parsed(render_detail(detail, kind, base_url=PAGE), kind, detail)
    assert as_served_here(read) == as_html_holds(as_served_here(detail))


@given(details())
def test_upstream_urls_read_back_too(detail: ProjectDetail) -> None:
    page = render_detail(detail, Representation.JSON, upstream_urls=True)
    assert parsed(page, Representation.JSON, detail) == detail


@given(details())
def test_nothing_breaks_out_of_html(detail: ProjectDetail) -> None:
    """The tags are those of a page whose texts are harmless: one link and one break a file."""
    outline = Outline(render_detail(detail, Representation.HTML, base_url=PAGE))
    head = ["html", "head", *["meta"] * (3 + (detail.status.reason is not None)), "title", "/title", "/head"]
    links = ["a", "/a", "br"] * len(detail.files)
    assert outline.tags == [*head, "body", "h1", "/h1", *links, "/body", "/html"]
    title = f"Links for {detail.name}"
    assert outline.text == [title, title, *(file.filename for file in detail.files)]


@given(details())
def test_attributes_say_what_the_model_says(detail: ProjectDetail) -> None:
    links = Outline(render_detail(detail, Representation.HTML)).links
    for file, link in zip(detail.files, links, strict=True):
        held = file_in_html(file)
        assert link.get("data-requires-python") == held.requires_python
        assert ("data-yanked" in link) == (file.yanked is not False)
        assert link.get("data-yanked", "") == (held.yanked if isinstance(held.yanked, str) else "")
        assert link.get("data-core-metadata") == link.get("data-dist-info-metadata")
        assert bool(link.get("data-core-metadata")) == bool(file.core_metadata)


@given(details())
def test_links_lead_to_the_file_of_that_digest_and_name(detail: ProjectDetail) -> None:
    rendered = json.loads(render_detail(detail, Representation.JSON))
    outline = Outline(render_detail(detail, Representation.HTML))
    for file, entry, link in zip(detail.files, rendered["files"], outline.links, strict=True):
        absolute = urljoin(PAGE, entry["url"])
        assert unquote(absolute) == f"https://index.example/files/{file.sha256}/{file.filename}"
        assert link["href"] == f"{entry['url']}#sha256={file.sha256}"


@given(details())
def test_each_link_is_a_line_that_scrapers_understand(detail: ProjectDetail) -> None:
    lines = render_detail(detail, Representation.HTML).decode().split("\n")
    links = [line for line in lines if line.startswith("<a")]
    assert len(links) == len(detail.files)
    assert all(re.fullmatch(r"<a [^>]+>([^<]+)</a><br>", line) for line in links)


@given(details(), st.sampled_from(Representation))
def test_equal_pages_are_equal_bytes(detail: ProjectDetail, representation: Representation) -> None:
    """However it came to be: an entity tag made of the bytes must not change when nothing did."""
    copy = msgspec.msgpack.decode(msgspec.msgpack.encode(detail), type=ProjectDetail)
    reordered = msgspec.structs.replace(copy, files=tuple(map(with_hashes_reversed, copy.files)))
    assert render_detail(reordered, representation) == render_detail(detail, representation)


def with_hashes_reversed(file: File) -> File:
    return msgspec.structs.replace(file, hashes=dict(reversed(list(file.hashes.items()))))


@given(project_lists)
def test_the_project_list_names_each_project_once(listed: ProjectList) -> None:
    projects = json.loads(render_list(listed, Representation.JSON))["projects"]
    outline = Outline(render_list(listed, Representation.HTML))
    assert [project["name"] for project in projects] == list(listed.names)
    assert [link["href"] for link in outline.links] == [f"{name}/" for name in listed.names]
    assert outline.text[2:] == list(listed.names)


@given(hostile_texts)
def test_escaped_text_reads_back(text: str) -> None:
    outline = Outline(f'<a title="{escape(text)}">{escape(text)}</a>'.encode(errors="replace"))
    assert outline.links == [{"title": without_nul(text)}]
    assert outline.tags == ["a", "/a"]


headers = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            [
                "*/*",
                "text/html",
                "application/vnd.pypi.simple.v1+json",
                ";",
                ",",
                "q=0",
                ";q=.5",
                "q=x",
                "=",
                "gzip",
                " ",
            ]
        )
    ).map("".join),
)


@given(headers, st.none() | headers)
def test_any_header_gets_a_representation_or_not_acceptable(accept: str, format_: str | None) -> None:
    with suppress(NotAcceptable):
        assert isinstance(choose_representation(accept, format_), Representation)


@given(headers)
def test_any_header_gets_a_content_coding(accept_encoding: str) -> None:
    assert isinstance(choose_encoding(accept_encoding), Encoding)
    assert isinstance(prefers_html(accept_encoding), bool)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | hostile_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile_texts, inner, max_size=3),
    max_leaves=4,
)
ENTRY = {"filename": "demo-1.0.tar.gz", "url": "demo-1.0.tar.gz", "hashes": {"sha256": "ab" * 32}, "size": 3}
entry_keys = st.sampled_from(
    [
        *("filename", "url", "hashes", "size", "requires-python", "upload-time", "yanked", "provenance"),
        *("core-metadata", "dist-info-metadata", "data-dist-info-metadata"),
    ]
)


@given(st.lists(st.tuples(entry_keys, json_values), max_size=3))
def test_whatever_a_file_says_it_is_offered_or_recorded(odd: list[tuple[str, object]]) -> None:
    page = json.dumps({"meta": {"api-version": "1.1"}, "name": "demo", "files": [ENTRY | dict(odd)]})
    read = read_or_none(page.encode(), Representation.JSON)
    assert read is None or len(read.files) + len(read.skipped) == 1


@given(json_values, st.sampled_from(["meta", "name", "files", "versions", "project-status"]))
def test_whatever_a_page_says_it_is_read_or_broken(odd: object, key: str) -> None:
    page = {"meta": {"api-version": "1.1"}, "name": "demo", "files": [ENTRY]} | {key: odd}
    read_or_none(json.dumps(page).encode(), Representation.JSON)


@given(st.binary() | st.text().map(str.encode), st.sampled_from(Representation))
@example(b'{"name": "demo", "files": [{"filename": "\\ud800", "url": "", "hashes": {}}]}', Representation.JSON)
@example(b"[" * 100_000, Representation.JSON)
@example(b"<![unknown[", Representation.HTML)
@example(b"<a href='https://[::1/demo-1.0.zip#sha256=" + b"a" * 64 + b"'>", Representation.HTML_V1)
def test_whatever_an_upstream_sends_it_is_read_or_broken(body: bytes, representation: Representation) -> None:
    read_or_none(body, representation)


@given(hostile_texts, hex_digits)
def test_whatever_a_link_says_it_stays_among_the_allowed_hosts(link: str, sha256: str) -> None:
    entry = {"filename": "demo-1.0.tar.gz", "url": link, "hashes": {"sha256": sha256}}
    page = json.dumps({"name": "demo", "files": [entry]}).encode()
    read = read_or_none(page, Representation.JSON)
    assert read is None or all(file.url.startswith("https://index.example/") for file in read.files)


def read_or_none(body: bytes, representation: Representation) -> ProjectDetail | None:
    try:
        return parse_detail(
            body,
            representation.content_type,
            url=PAGE,
            name=ProjectName("demo"),
            may_link=lambda origin: origin.host == "index.example",
        )
    except UpstreamBroken:
        return None
