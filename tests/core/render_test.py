from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest

from proxy.core.model import File, ProjectDetail, ProjectList, ProjectStatus, Status
from proxy.core.names import ProjectName
from proxy.core.negotiate import Representation
from proxy.core.render import escape, render_detail, render_list

SHA, OTHER_SHA, META_SHA = "ab" * 32, "cd" * 32, "01" * 32
WHEEL, SDIST = "demo_pkg-1.0-py3-none-any.whl", "demo_pkg-0.9.tar.gz"
HERE = f"../../files/{SHA}/{WHEEL}"

UPSTREAM = File(
    filename=WHEEL,
    url=f"https://files.example/packages/{WHEEL}",
    hashes={"sha256": SHA},
    size=1337,
    requires_python=">=3.9,<4",
    upload_time=datetime(2026, 1, 2, 3, 4, 5, 6000, tzinfo=UTC),
    core_metadata={"sha256": META_SHA},
    provenance="https://pypi.example/integrity/x",
)
BARE = File(
    filename=SDIST, url=f"http://files.example/{SDIST}", hashes={"sha256": OTHER_SHA}, yanked='bad "build"\nreally'
)
LOCAL = File(filename=WHEEL, url="", hashes={"sha256": SHA}, provenance="")

DETAIL = ProjectDetail(ProjectName("demo-pkg"), (UPSTREAM, BARE), ("0.9", "1.0"))


def in_json(detail: ProjectDetail, **options: object) -> dict[str, object]:
    return json.loads(rendered(detail, Representation.JSON, **options))  # type: ignore[no-any-return]


def rendered(detail: ProjectDetail, representation: Representation, **options: object) -> str:
    return render_detail(detail, representation, **options).decode()  # type: ignore[arg-type]


def test_a_page_in_json() -> None:
    assert in_json(DETAIL) == {
        "meta": {"api-version": "1.4"},
        "name": "demo-pkg",
        "project-status": {"status": "active"},
        "versions": ["0.9", "1.0"],
        "files": [
            {
                "filename": WHEEL,
                "url": HERE,
                "hashes": {"sha256": SHA},
                "yanked": False,
                "size": 1337,
                "requires-python": ">=3.9,<4",
                "upload-time": "2026-01-02T03:04:05.006000Z",
                "core-metadata": {"sha256": META_SHA},
                "data-dist-info-metadata": {"sha256": META_SHA},
                "provenance": f"{HERE}.provenance",
            },
            {
                "filename": SDIST,
                "url": f"../../files/{OTHER_SHA}/{SDIST}",
                "hashes": {"sha256": OTHER_SHA},
                "yanked": 'bad "build"\nreally',
            },
        ],
    }


@pytest.mark.parametrize("representation", [Representation.HTML, Representation.HTML_V1])
def test_a_page_in_html(representation: Representation) -> None:
    assert rendered(DETAIL, representation) == (
        "<!DOCTYPE html>\n"
        "<html><head>\n"
        '<meta charset="utf-8">\n'
        '<meta name="pypi:repository-version" content="1.4">\n'
        '<meta name="pypi:project-status" content="active">\n'
        "<title>Links for demo-pkg</title>\n"
        "</head><body>\n"
        "<h1>Links for demo-pkg</h1>\n"
        f'<a href="{HERE}#sha256={SHA}" data-requires-python="&gt;=3.9,&lt;4"'
        f' data-dist-info-metadata="sha256={META_SHA}" data-core-metadata="sha256={META_SHA}">{WHEEL}</a><br>\n'
        f'<a href="../../files/{OTHER_SHA}/{SDIST}#sha256={OTHER_SHA}"'
        f' data-yanked="bad &quot;build&quot;&#10;really">{SDIST}</a><br>\n'
        "</body></html>\n"
    )


@pytest.mark.parametrize(
    ("status", "in_html", "expected"),
    [
        (ProjectStatus(Status.ARCHIVED), 'content="archived">', {"status": "archived"}),
        (
            ProjectStatus(Status.DEPRECATED, "use <other>"),
            'content="deprecated">\n<meta name="pypi:project-status-reason" content="use &lt;other&gt;">',
            {"status": "deprecated", "reason": "use <other>"},
        ),
    ],
)
def test_the_status_of_a_project(status: ProjectStatus, in_html: str, expected: dict[str, str]) -> None:
    detail = ProjectDetail(DETAIL.name, status=status)
    assert in_json(detail)["project-status"] == expected
    assert f'<meta name="pypi:project-status" {in_html}\n<title>' in rendered(detail, Representation.HTML)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 1, tzinfo=UTC), "2026-01-02T03:04:05.000001Z"),
    ],
)
def test_upload_times(moment: datetime, expected: str) -> None:
    detail = ProjectDetail(DETAIL.name, (msgspec.structs.replace(BARE, upload_time=moment),))
    assert f'"upload-time":"{expected}"' in rendered(detail, Representation.JSON)


@pytest.mark.parametrize(
    ("promise", "in_html"),
    [
        (True, ' data-dist-info-metadata="true" data-core-metadata="true">'),
        ({"sha512": "00", "sha256": "ab"}, ' data-dist-info-metadata="sha256=ab" data-core-metadata="sha256=ab">'),
        ({"sha512": "00", "blake2b": "11"}, ' data-dist-info-metadata="blake2b=11" data-core-metadata="blake2b=11">'),
    ],
)
def test_core_metadata_under_both_its_names(promise: bool | dict[str, str], in_html: str) -> None:  # noqa: FBT001
    file = msgspec.structs.replace(BARE, yanked=False, core_metadata=promise)
    (entry,) = files_in_json(ProjectDetail(DETAIL.name, (file,)))
    assert entry["core-metadata"] == entry["data-dist-info-metadata"] == promise
    assert in_html in rendered(ProjectDetail(DETAIL.name, (file,)), Representation.HTML)


def test_yanked_without_a_reason() -> None:
    detail = ProjectDetail(DETAIL.name, (msgspec.structs.replace(BARE, yanked=True),))
    assert files_in_json(detail)[0]["yanked"] is True
    assert ' data-yanked="">' in rendered(detail, Representation.HTML)


@pytest.mark.parametrize(
    ("filename", "path"),
    [
        ("torch-2.0+cu121.tar.gz", "torch-2.0%2Bcu121.tar.gz"),
        ("demo-1!2.0.tar.gz", "demo-1%212.0.tar.gz"),
        ("d\N{LATIN SMALL LETTER E WITH ACUTE}mo-1.0.zip", "d%C3%A9mo-1.0.zip"),
        ("50%#&'.zip", "50%25%23%26%27.zip"),
        ("a:b.zip", "a%3Ab.zip"),
    ],
)
def test_file_names_are_percent_encoded(filename: str, path: str) -> None:
    detail = ProjectDetail(DETAIL.name, (msgspec.structs.replace(LOCAL, filename=filename),))
    assert files_in_json(detail)[0]["url"] == f"../../files/{SHA}/{path}"
    assert f'<a href="../../files/{SHA}/{path}#sha256={SHA}">{escape(filename)}</a>' in rendered(
        detail, Representation.HTML
    )


class TestUpstreamUrls:
    def test_name_the_upstreams_places(self) -> None:
        wheel, sdist = files_in_json(DETAIL, upstream_urls=True)
        assert (wheel["url"], wheel["provenance"]) == (UPSTREAM.url, UPSTREAM.provenance)
        assert (sdist["url"], "provenance" in sdist) == (BARE.url, False)

    def test_bear_their_hash_in_html(self) -> None:
        html = rendered(DETAIL, Representation.HTML, upstream_urls=True)
        assert f'<a href="{UPSTREAM.url}#sha256={SHA}"' in html
        assert f' data-provenance="{UPSTREAM.provenance}">' in html

    def test_do_not_touch_local_files(self) -> None:
        (local,) = files_in_json(ProjectDetail(DETAIL.name, (LOCAL,)), upstream_urls=True)
        assert (local["url"], local["provenance"]) == (HERE, f"{HERE}.provenance")

    @pytest.mark.gitlab(27)
    def test_are_escaped(self) -> None:
        file = msgspec.structs.replace(UPSTREAM, url="https://files.example/x.whl?a='b'&c")
        html = rendered(ProjectDetail(DETAIL.name, (file,)), Representation.HTML, upstream_urls=True)
        assert f'<a href="https://files.example/x.whl?a=&#x27;b&#x27;&amp;c#sha256={SHA}"' in html


class TestProvenance:
    ADDRESS = "https://pypi.corp/group/-/simple/demo-pkg/"
    ABSOLUTE = f"https://pypi.corp/group/-/files/{SHA}/{WHEEL}.provenance"

    @pytest.mark.parametrize("file", [UPSTREAM, LOCAL])
    def test_is_absolute_where_the_page_is_secure(self, file: File) -> None:
        detail = ProjectDetail(DETAIL.name, (file,))
        assert files_in_json(detail, base_url=self.ADDRESS)[0]["provenance"] == self.ABSOLUTE
        assert f' data-provenance="{self.ABSOLUTE}">' in rendered(detail, Representation.HTML, base_url=self.ADDRESS)

    @pytest.mark.parametrize("address", ["", "http://pypi.corp/simple/demo-pkg/"])
    def test_is_relative_elsewhere_and_not_in_html(self, address: str) -> None:
        detail = ProjectDetail(DETAIL.name, (LOCAL,))
        assert files_in_json(detail, base_url=address)[0]["provenance"] == f"{HERE}.provenance"
        assert "provenance" not in rendered(detail, Representation.HTML, base_url=address)

    def test_is_left_out_where_there_is_none(self) -> None:
        detail = ProjectDetail(DETAIL.name, (BARE,))
        assert "provenance" not in rendered(detail, Representation.JSON, base_url=self.ADDRESS)
        assert "provenance" not in rendered(detail, Representation.HTML, base_url=self.ADDRESS)

    def test_of_an_insecure_upstream_is_not_in_html(self) -> None:
        file = msgspec.structs.replace(UPSTREAM, provenance="http://pypi.example/integrity/x")
        html = rendered(ProjectDetail(DETAIL.name, (file,)), Representation.HTML, upstream_urls=True)
        assert "provenance" not in html


def test_the_project_list_in_json() -> None:
    listed = ProjectList((ProjectName("demo-pkg"), ProjectName("other")))
    assert json.loads(render_list(listed, Representation.JSON)) == {
        "meta": {"api-version": "1.4"},
        "projects": [{"name": "demo-pkg"}, {"name": "other"}],
    }


@pytest.mark.parametrize("representation", [Representation.HTML, Representation.HTML_V1])
def test_the_project_list_in_html(representation: Representation) -> None:
    assert render_list(ProjectList((ProjectName("demo-pkg"), ProjectName("other"))), representation) == (
        b"<!DOCTYPE html>\n"
        b"<html><head>\n"
        b'<meta charset="utf-8">\n'
        b'<meta name="pypi:repository-version" content="1.4">\n'
        b"<title>Simple index</title>\n"
        b"</head><body>\n"
        b"<h1>Simple index</h1>\n"
        b'<a href="demo-pkg/">demo-pkg</a><br>\n'
        b'<a href="other/">other</a><br>\n'
        b"</body></html>\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("<&>\"'", "&lt;&amp;&gt;&quot;&#x27;"),
        ("a\r\nb", "a&#13;&#10;b"),
        ("\0", "\N{REPLACEMENT CHARACTER}"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_escape(text: str, expected: str) -> None:
    assert escape(text) == expected


def files_in_json(detail: ProjectDetail, **options: object) -> list[dict[str, object]]:
    files = in_json(detail, **options)["files"]
    assert isinstance(files, list)
    return files
