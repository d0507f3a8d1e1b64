"""Files that are here, and what every file answer says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders import build_sdist, build_wheel
from tests.fake_index import POOR
from tests.web.server import JSON, forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.web.server import MakeServer, Server

FOR_EVER = "max-age=31536000, immutable"
WHEEL = build_wheel("demo-pkg", "1.0", size_padding=100_000)
LOCAL = f"/files/{WHEEL.sha256}/{WHEEL.filename}"
OTHER = "0" * 64


@pytest.fixture(params=["local", "cached", "cold"])
async def link(request: pytest.FixtureRequest, server: Server, index: FakeIndex) -> str:
    """The path of WHEEL, wherever it is."""
    if request.param == "local":
        await publish(server, WHEEL)
    else:
        index.add_built("demo-pkg", WHEEL)
    if request.param == "cached":
        assert (await server.get(LOCAL)).status == 200
    return LOCAL


@pytest.mark.standard(51, 53, 54, 97)
@pytest.mark.parametrize("companion", ["", ".metadata"])
async def test_an_answer_with_a_file_can_be_kept_for_ever(server: Server, link: str, companion: str) -> None:
    whole = await server.get(link + companion, Accept_Encoding="gzip, zstd")
    assert (whole.status, whole.body) == (200, WHEEL.metadata if companion else WHEEL.data)
    for answer in (whole, await server.head(link + companion)):
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == "attachment"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == FOR_EVER
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["ETag"] == whole.headers["ETag"]
        assert int(answer.headers["Content-Length"]) == len(whole.body)
        assert "Content-Encoding" not in answer.headers
        assert "Last-Modified" not in answer.headers
    assert link.split("/")[2] in whole.headers["ETag"] or companion


@pytest.mark.standard(54)
async def test_head_on_a_cold_file_fetches_no_body(server: Server, index: FakeIndex) -> None:
    index.add_built("demo-pkg", WHEEL)
    answer = await server.head(LOCAL)
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", str(len(WHEEL.data)))
    assert index.count("GET", "*.whl") == 0


@pytest.mark.standard(54, 72)
async def test_head_tells_the_size_where_only_the_file_host_knows_it(
    make_server: MakeServer, index: FakeIndex
) -> None:
    index.dialect = POOR
    server = await make_server(forwards_to(index))
    index.add_built("demo-pkg", WHEEL)
    answer = await server.head(LOCAL)
    assert answer.headers["Content-Length"] == str(len(WHEEL.data))
    assert index.count("GET", "*.whl") == 0


async def test_a_file_that_the_client_has_is_304(server: Server, link: str) -> None:
    for tag in (f'"{WHEEL.sha256}"', f'"x", W/"{WHEEL.sha256}"', "*"):
        answer = await server.get(link, If_None_Match=tag)
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["ETag"] == f'"{WHEEL.sha256}"'
        assert answer.headers["Cache-Control"] == FOR_EVER
    assert (await server.get(link, If_None_Match='"x"')).body == WHEEL.data


@pytest.mark.parametrize("scope", ["", "/api/v4/projects/1/packages/pypi", "/api/v4/groups/1/-/packages/pypi"])
async def test_a_path_that_no_page_lists_is_404(server: Server, link: str, scope: str) -> None:
    assert (await server.head(f"{scope}{link}")).status == 200
    sha256, filename = WHEEL.sha256, WHEEL.filename
    for path in (
        f"{OTHER}/{filename}",
        f"{sha256}/demo_pkg-1.1-py3-none-any.whl",
        f"{sha256}/other-1.0-py3-none-any.whl",
        f"{sha256}/Demo_Pkg-1.0-py3-none-any.whl",
        f"{sha256}/demo-pkg-1.0-py3-none-any.whl",
        f"{sha256}/demo_pkg-1.0-py3-none-any.zip",
        f"{sha256[:63]}/{filename}",
        f"{sha256[:63]}g/{filename}",
        f"{sha256}/{filename}.metadata.metadata",
        f"{sha256}/{filename}.asc",
        f"{sha256}/{filename}.provenance",
        f"{sha256}/.metadata",
        f"{sha256}/x",
        f"{sha256}/",
    ):
        answer = await server.get(f"{scope}/files/{path}", Accept=JSON)
        assert answer.status == 404, path
        assert WHEEL.data not in answer.body


@pytest.mark.standard(65)
@pytest.mark.parametrize("name", ["demo-pkg", "Demo.Pkg", "a-b-c"])
async def test_a_link_in_a_lock_file_needs_no_page_first(server: Server, index: FakeIndex, name: str) -> None:
    for file in (index.add_wheel(name, "1.0"), index.add_sdist(name, "1.0")):
        answer = await server.get(f"/files/{file.sha256}/{file.filename}")
        assert (answer.status, answer.body) == (200, file.data)


@pytest.mark.standard(65)
@pytest.mark.parametrize(
    "filename", ["a-b-1.0-1.tar.gz", "Demo-Pkg-2.0.dev1.zip", "mkey.zip", "demo.pkg-1.0.tgz", "demo_pkg-1.0-py2.7.egg"]
)
async def test_old_names_of_files_are_found_without_a_page(server: Server, index: FakeIndex, filename: str) -> None:
    project = {"a": "a-b", "m": "mkey"}.get(filename[0], "demo-pkg")
    file = index.add_file(project, filename, build_sdist(project, "1.0").data)
    answer = await server.get(f"/files/{file.sha256}/{filename}")
    assert (answer.status, answer.body) == (200, file.data)


@pytest.mark.parametrize("scope", ["", "/api/v4/projects/1/packages/pypi", "/api/v4/groups/default/-/packages/pypi"])
async def test_a_published_sdist_offers_no_metadata(server: Server, scope: str) -> None:
    sdist = build_sdist("demo-pkg", "1.0")
    await publish(server, sdist)
    link = f"{scope}/files/{sdist.sha256}/{sdist.filename}"
    assert (await server.get(link)).body == sdist.data
    assert (await server.get(f"{link}.metadata")).status == 404


async def test_a_local_file_is_not_asked_of_the_upstream(server: Server, index: FakeIndex) -> None:
    sdist = build_sdist("a-b-c", "1.0")
    await publish(server, sdist)
    assert (await server.get(f"/files/{sdist.sha256}/{sdist.filename}")).status == 200
    assert (await server.get(f"/files/{OTHER}/{sdist.filename}")).status == 404
    assert index.requests == []


async def test_the_cache_status_tells_where_the_bytes_came_from(server: Server, index: FakeIndex) -> None:
    index.add_built("demo-pkg", WHEEL)
    own = build_wheel("own", "1.0")
    await publish(server, own)
    told = [
        (await server.get(path)).headers["Cache-Status"]
        for path in (LOCAL, LOCAL, f"/files/{own.sha256}/{own.filename}", "/simple/own/")
    ]
    assert told == [
        "pypi-sidecar; fwd=miss; stored",
        "pypi-sidecar; hit",
        "pypi-sidecar; detail=local",
        "pypi-sidecar; detail=local",
    ]
