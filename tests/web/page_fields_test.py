"""What pages say of their files, local and forwarded, in HTML and JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin

import pytest

from tests.builders import build_sdist, build_wheel
from tests.fake_index import POOR
from tests.web.html_pages import read_html
from tests.web.server import HTML, TEXT, forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.fake_index.catalogue import CoreMetadata
    from tests.web.server import MakeServer, Server

PAGE = "/simple/demo-pkg/"
WHEEL = build_wheel("demo-pkg", "1.0", requires_python=">=3.8,<4")
SDIST = build_sdist("demo-pkg", "1.0")


@pytest.mark.standard(26, 27, 30, 31, 32, 33, 41)
async def test_html_and_json_say_the_same(server: Server) -> None:
    await publish(server, WHEEL, SDIST)
    page = await server.page(PAGE)
    for accept in (HTML, TEXT):
        answer = await server.get(PAGE, Accept=accept)
        assert answer.body.startswith(b"<!DOCTYPE html>")
        assert b'data-requires-python="&gt;=3.8,&lt;4"' in answer.body
        assert re.findall(r"<a [^>]+>([^<]+)</a>", answer.body.decode()) == page.filenames
        html = read_html(answer.body)
        assert html.metas["pypi:repository-version"] == "1.4"
        assert html.metas["pypi:project-status"] == page.project_status.status == "active"
        for anchor, file in zip(html.anchors, page.files, strict=True):
            assert anchor.href == f"{file.url}#sha256={file.hashes['sha256']}"
            assert anchor.attributes.get("data-requires-python") == file.requires_python
            promised = f"sha256={file.core_metadata['sha256']}" if isinstance(file.core_metadata, dict) else None
            assert anchor.attributes.get("data-core-metadata") == promised
            assert anchor.attributes.get("data-dist-info-metadata") == promised
            assert ("data-yanked" in anchor.attributes) == bool(file.yanked)


@pytest.mark.standard(34, 35, 36, 37, 38, 39, 40, 42)
@pytest.mark.gitlab(28)
async def test_a_local_page_has_every_field_of_its_files(server: Server) -> None:
    await publish(server, WHEEL, SDIST, build_wheel("demo-pkg", "1!2.0+cu121"))
    page = await server.page(PAGE)
    assert (page.meta.api_version, page.name) == ("1.4", "demo-pkg")
    assert page.versions == ("1.0", "1!2.0+cu121")
    for file in page.files:
        link = urljoin(PAGE, file.url)
        assert file.size == int((await server.head(link)).headers["Content-Length"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", file.upload_time or "")
        assert file.yanked is False
    wheel, sdist, _ = page.files
    assert (wheel.requires_python, sdist.requires_python) == (">=3.8,<4", None)
    assert wheel.core_metadata == wheel.data_dist_info_metadata
    assert isinstance(wheel.core_metadata, dict)
    metadata = await server.get(f"{urljoin(PAGE, wheel.url)}.metadata")
    assert metadata.headers["ETag"] == f'"{wheel.core_metadata["sha256"]}"'
    assert metadata.body == WHEEL.metadata
    assert sdist.core_metadata is False


@pytest.mark.standard(44)
async def test_what_the_upstream_says_of_a_file_survives(server: Server, index: FakeIndex) -> None:
    reason = 'it\'s "broken" <b>&amp; not\nnice</b>'
    file = index.add_wheel(
        "demo-pkg", "1.0", yanked=reason, requires_python="!=3.9.1,>=3.8", extra={"future": [1], "_mine": None}
    )
    index.set_status("demo-pkg", "archived", "no longer kept")
    page = await server.page(PAGE)
    (listed,) = page.files
    assert listed.yanked == reason
    assert listed.requires_python == "!=3.9.1,>=3.8"
    assert listed.upload_time == "2024-01-02T03:04:05.000006Z"
    assert listed.size == len(file.data)
    assert listed.core_metadata == file.core_metadata
    assert (page.project_status.status, page.project_status.reason) == ("archived", "no longer kept")


@pytest.mark.standard(28, 29)
async def test_a_yank_survives_html_with_and_without_reason(server: Server, index: FakeIndex) -> None:
    reason = 'it\'s "broken" <b>&amp; not\nnice</b>'
    index.add_wheel("demo-pkg", "1.0", yanked=reason)
    index.add_wheel("demo-pkg", "2.0", yanked=True)
    index.add_wheel("demo-pkg", "3.0")
    html = read_html((await server.get(PAGE)).body)
    assert [anchor.attributes.get("data-yanked") for anchor in html.anchors] == [reason, "", None]


@pytest.mark.standard(23, 24)
@pytest.mark.parametrize("version", ["1.0+cu121", "1!2.0"])
async def test_a_name_with_a_sign_downloads_through_its_link(server: Server, index: FakeIndex, version: str) -> None:
    await publish(server, build_wheel("demo-pkg", version))
    index.add_wheel("other", version)
    for name in ("demo-pkg", "other"):
        page = await server.get(f"/simple/{name}/", Accept=TEXT)
        (anchor,) = read_html(page.body).anchors
        link = urljoin(page.path, anchor.href).partition("#")[0]
        assert unquote(link.rpartition("/")[2]) == anchor.text
        written = link.replace("+", "%2B").replace("!", "%21")
        for path in (link, written, written.replace("%2B", "+").replace("%21", "!")):
            answer = await server.get(path)
            assert (answer.status, answer.headers["ETag"]) == (200, f'"{anchor.href.rpartition("=")[2]}"')


@pytest.mark.standard(72)
async def test_a_poor_upstream_gives_a_sound_page(make_server: MakeServer, index: FakeIndex) -> None:
    index.dialect = POOR
    server = await make_server(forwards_to(index))
    file = index.add_wheel("demo-pkg", "1.0", requires_python=">=3.9")
    page = await server.page(PAGE)
    (listed,) = page.files
    assert (listed.size, listed.upload_time, listed.core_metadata) == (None, None, False)
    assert (listed.requires_python, page.versions) == (">=3.9", ("1.0",))
    assert (await server.get(urljoin(PAGE, listed.url))).body == file.data


async def test_a_forwarded_file_without_a_sha256_is_left_out(server: Server, index: FakeIndex) -> None:
    index.add_wheel("demo-pkg", "1.0", hashes={"md5": "0" * 32})
    kept = index.add_wheel("demo-pkg", "2.0")
    assert (await server.page(PAGE)).filenames == [kept.filename]


@pytest.mark.standard(40)
@pytest.mark.parametrize("promise", [True, "unhashed", False])
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
async def test_core_metadata_is_offered_only_where_it_can_be_had(
    server: Server, index: FakeIndex, kind: str, promise: CoreMetadata
) -> None:
    add = index.add_wheel if kind == "wheel" else index.add_sdist
    file = add("demo-pkg", "1.0", core_metadata=promise)
    (listed,) = (await server.page(PAGE)).files
    if listed.core_metadata:
        answer = await server.get(f"{urljoin(PAGE, listed.url)}.metadata")
        assert (answer.status, answer.body) == (200, file.metadata)
    assert listed.core_metadata == file.core_metadata or promise == "unhashed"


async def test_links_name_the_upstream_where_the_group_wants_it(make_server: MakeServer, index: FakeIndex) -> None:
    groups = '[groups."default"]\nid = 1\nfile_urls = "upstream"\n[projects."default/packages"]\nid = 1\n'
    server = await make_server(forwards_to(index) + groups)
    file = index.add_wheel("demo-pkg", "1.0", core_metadata="unhashed")
    (listed,) = (await server.page(PAGE)).files
    assert listed.url == file.url
    assert listed.core_metadata is True
    await publish(server, build_wheel("own", "1.0"))
    assert (await server.page("/simple/own/")).files[0].url.startswith("../../files/")


# Provenance


async def test_provenance_is_linked_relative_and_answers(server: Server, index: FakeIndex) -> None:
    document = b'{"version": 1, "attestation_bundles": []}'
    index.add_wheel("demo-pkg", "1.0", provenance=document)
    (listed,) = (await server.page(PAGE)).files
    assert listed.provenance == f"{listed.url}.provenance"
    answer = await server.get(urljoin(PAGE, listed.provenance))
    assert (answer.status, answer.body) == (200, document)
    assert answer.headers["Content-Type"] == "application/vnd.pypi.integrity.v1+json"
    (anchor,) = read_html((await server.get(PAGE)).body).anchors
    assert "data-provenance" not in anchor.attributes  # PEP 740: there it must be a secure absolute URL


async def test_provenance_is_absolute_where_the_server_is_reached_by_https(
    make_server: MakeServer, index: FakeIndex
) -> None:
    index.add_wheel("demo-pkg", "1.0", provenance=b"{}")
    server = await make_server(f'[server]\nexternal_url = "https://pypi.corp/sub"\n{forwards_to(index)}')
    (listed,) = (await server.page(PAGE)).files
    (anchor,) = read_html((await server.get(PAGE)).body).anchors
    assert anchor.attributes["data-provenance"] == listed.provenance
    assert listed.provenance == f"https://pypi.corp/sub{urljoin(PAGE, listed.url)}.provenance"
