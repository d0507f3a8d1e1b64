"""The routes of the Simple API: names, redirects, links, validators, and what a restart leaves of them."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from tests.builders import build_sdist, build_wheel
from tests.web.html_pages import read_html
from tests.web.server import JSON, TEXT, forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.web.server import MakeServer, Server

PAGE = "/simple/demo-pkg/"
PREFIXES = {
    "short": "",
    "project by path": "/api/v4/projects/default%2Fpackages/packages/pypi",
    "project by number": "/api/v4/projects/1/packages/pypi",
    "group by path": "/api/v4/groups/default/-/packages/pypi",
    "group by number": "/api/v4/groups/1/-/packages/pypi",
}
every_level = pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
WHEEL = build_wheel("demo-pkg", "1.0", requires_python=">=3.8,<4")
SDIST = build_sdist("demo-pkg", "1.0")


@every_level
@pytest.mark.standard(22)
@pytest.mark.gitlab(32)
async def test_a_link_of_a_page_answers_the_file_at_every_level(server: Server, index: FakeIndex, prefix: str) -> None:
    await publish(server, WHEEL, SDIST)
    forwarded = index.add_wheel("other", "2.0")
    for name, file in (("demo-pkg", WHEEL), ("demo-pkg", SDIST), ("other", forwarded)):
        link = await server.link(f"{prefix}/simple/{name}/", file.filename)
        assert link == f"{prefix}/files/{file.sha256}/{file.filename}"
        assert (await server.get(link)).body == file.data


@every_level
@pytest.mark.standard(43)
@pytest.mark.gitlab(31)
async def test_the_root_lists_local_projects_alone(server: Server, index: FakeIndex, prefix: str) -> None:
    index.add_wheel("other", "2.0")
    await server.get(f"{prefix}/simple/other/")
    assert (await server.get(f"{prefix}/simple/", Accept=JSON)).projects == []
    for name in ("zebra", "Demo.Pkg", "demo_pkg", "ape"):
        await publish(server, build_wheel(name, "1.0" if name != "demo_pkg" else "2.0"))
    root = await server.get(f"{prefix}/simple/", Accept=JSON)
    assert root.projects == ["ape", "demo-pkg", "zebra"]
    anchors = read_html((await server.get(f"{prefix}/simple/")).body).anchors
    assert [anchor.text for anchor in anchors] == root.projects
    for anchor in anchors:
        assert (await server.get(urljoin(root.path, anchor.href))).status == 200


@every_level
@pytest.mark.standard(16, 18, 19)
@pytest.mark.gitlab(12)
async def test_other_spellings_are_redirected_to_the_normalized_name(server: Server, prefix: str) -> None:
    await publish(server, WHEEL)
    for spelling in ("Demo.Pkg", "demo_pkg", "demo--pkg", "DEMO-PKG", "demo-_.pkg", "de%6Do_pkg"):
        for path in (f"{prefix}/simple/{spelling}/", f"{prefix}/simple/{spelling}"):
            answer = await server.get(path)
            assert answer.status == 301
            assert not re.match(r"/|[a-z]+:", answer.headers["Location"])
            assert urljoin(path, answer.headers["Location"]) == f"{prefix}/simple/demo-pkg/"


@every_level
@pytest.mark.standard(17, 19)
async def test_a_missing_slash_is_added_and_the_query_kept(server: Server, prefix: str) -> None:
    for path in (f"{prefix}/simple", f"{prefix}/simple/demo-pkg"):
        for query in ("", "?format=a%2Bb&x=%0d%0aSet-Cookie:%20a=b", "?%C3%A9"):
            answer = await server.get(f"{path}{query}")
            assert answer.status == 301
            assert urljoin(path, answer.headers["Location"]) == f"{path}/{query}"
            assert "Set-Cookie" not in answer.headers


@every_level
@pytest.mark.standard(20, 52, 67)
async def test_a_name_that_nobody_has_is_404(server: Server, prefix: str) -> None:
    answer = await server.get(f"{prefix}/simple/nope/", Accept=JSON)
    assert (answer.status, answer.told) == (404, {"message": "404 Package Not Found"})
    assert "max-age" not in answer.headers.get("Cache-Control", "")


async def test_what_can_be_no_name_is_404_and_never_asked_of_the_upstream(server: Server, index: FakeIndex) -> None:
    for name in ("-demo", "demo-", "d%C3%A9mo", "a" * 201, "demo%20pkg", "a%0d%0aX:%20y", "+simple"):
        for path in (f"/simple/{name}/", f"/simple/{name}"):
            answer = await server.get(path, Accept=JSON)
            assert (answer.status, answer.message) == (404, "404 Package Not Found")
    assert index.requests == []


# Addresses and validators


@pytest.mark.standard(25)
async def test_no_page_or_redirect_names_a_host(server: Server, index: FakeIndex) -> None:
    await publish(server, WHEEL)
    index.add_wheel("other", "1.0")
    for path in (PAGE, "/simple/other/", "/simple/", "/simple/Other", "/simple"):
        for accept in (JSON, TEXT):
            answer = await server.get(path, Accept=accept, X_Forwarded_Host="pypi.corp", X_Forwarded_Proto="https")
            assert b"127.0.0.1" not in answer.body
            assert b"pypi.corp" not in answer.body
            assert "127.0.0.1" not in str(answer.headers)


@pytest.mark.standard(66)
async def test_two_fresh_servers_have_the_same_pages(make_server: MakeServer, index: FakeIndex) -> None:
    index.add_wheel("demo-pkg", "1.0")
    server = await make_server(forwards_to(index))
    before = await server.get(PAGE, Accept=JSON)
    await server.close()
    shutil.rmtree(server.data_dir)
    server = await make_server(forwards_to(index))
    after = await server.get(PAGE, Accept=JSON)
    assert (after.body, after.headers["ETag"]) == (before.body, before.headers["ETag"])


@pytest.mark.standard(45, 47)
@pytest.mark.parametrize("path", ["/simple/", PAGE, "/simple/other/"])
@pytest.mark.parametrize("accept", [JSON, TEXT])
async def test_an_unchanged_page_is_304_also_after_a_restart(
    make_server: MakeServer, index: FakeIndex, path: str, accept: str
) -> None:
    index.add_wheel("other", "1.0")
    server = await make_server(forwards_to(index))
    await publish(server, WHEEL)
    whole = await server.get(path, Accept=accept)
    assert re.fullmatch(r'"[^"]+"', whole.headers["ETag"])
    await server.close()
    server = await make_server(forwards_to(index))
    for condition in (whole.headers["ETag"], f'"other", W/{whole.headers["ETag"]}', "*"):
        answer = await server.get(path, Accept=accept, If_None_Match=condition)
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["ETag"] == whole.headers["ETag"]
    assert (await server.get(path, Accept=accept, If_None_Match='"other"')).body == whole.body


@pytest.mark.standard(48)
@pytest.mark.parametrize("path", ["/simple/", PAGE])
async def test_an_upload_shows_at_once_under_a_new_etag(server: Server, path: str) -> None:
    await publish(server, build_wheel("first", "1.0"))
    etags = set()
    for built in (WHEEL, build_wheel("third", "1.0") if path == "/simple/" else SDIST):
        await publish(server, built)
        etags.add((await server.get(path, Accept=JSON)).headers["ETag"])
    assert len(etags) == 2


@pytest.mark.standard(49, 50)
@pytest.mark.parametrize("path", ["/simple/", PAGE, "/simple/other/"])
async def test_clients_ask_again_on_each_use(server: Server, index: FakeIndex, path: str) -> None:
    await publish(server, WHEEL)
    index.add_wheel("other", "1.0")
    answer = await server.get(path)
    assert answer.headers["Cache-Control"] == "no-cache"
    assert "Last-Modified" not in answer.headers
