"""Which names leave the machine: by group, and by what is or was published here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders import build_sdist, build_wheel
from tests.web.decisions import NOT_FOUND, check_absent, check_shown
from tests.web.server import JSON, forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.web.server import MakeServer, Server

OPEN = "/api/v4/groups/open/-/packages/pypi"
CLOSED = "/api/v4/groups/closed/-/packages/pypi"
TWO_GROUPS = """
[groups."open"]
id = 7
[groups."open/sub"]
id = 8
[groups."closed"]
id = 9
forwarding = false
[groups."closed/below"]
id = 10
[projects."open/tools"]
id = 7
[projects."open/sub/tools"]
id = 8
[projects."closed/tools"]
id = 9
[projects."closed/below/tools"]
id = 10
"""


# Groups


@pytest.mark.parametrize(
    "prefix",
    [
        CLOSED,
        "/api/v4/groups/9/-/packages/pypi",
        "/api/v4/groups/closed%2Fbelow/-/packages/pypi",
        "/api/v4/projects/9/packages/pypi",
        "/api/v4/projects/closed%2Ftools/packages/pypi",
        "/api/v4/projects/closed%2Fbelow%2Ftools/packages/pypi",
    ],
)
@pytest.mark.gitlab(13)
async def test_a_group_that_does_not_forward_asks_nobody(
    make_server: MakeServer, index: FakeIndex, prefix: str
) -> None:
    server = await make_server(forwards_to(index) + TWO_GROUPS)
    file = index.add_wheel("demo-pkg", "1.0")
    cached = await server.get(f"{OPEN}/files/{file.sha256}/{file.filename}")
    assert cached.body == file.data
    index.clear_requests()
    await check_absent(server, prefix, "demo-pkg", file)
    assert (await server.get(f"{prefix}/simple/demo-pkg/", Accept=JSON)).told == NOT_FOUND
    assert index.requests == []


@pytest.mark.parametrize(
    "prefix",
    [
        OPEN,
        "/api/v4/groups/7/-/packages/pypi",
        "/api/v4/groups/open%2Fsub/-/packages/pypi",
        "/api/v4/groups/open%2fsub/-/packages/pypi",
        "/api/v4/projects/7/packages/pypi",
        "/api/v4/projects/open%2Fsub%2Ftools/packages/pypi",
    ],
)
async def test_a_group_and_its_projects_forward(make_server: MakeServer, index: FakeIndex, prefix: str) -> None:
    server = await make_server(forwards_to(index) + TWO_GROUPS)
    file = index.add_wheel("demo-pkg", "1.0")
    assert (await server.page(f"{prefix}/simple/demo-pkg/")).filenames == [file.filename]
    assert (await server.get(f"{prefix}/files/{file.sha256}/{file.filename}")).body == file.data


@pytest.mark.parametrize("path", ["/simple/", "/simple/demo-pkg/", f"/files/{'0' * 64}/demo-1.0.tar.gz"])
async def test_without_the_default_group_the_short_routes_say_so(make_server: MakeServer, path: str) -> None:
    server = await make_server(TWO_GROUPS)
    answer = await server.get(path, Accept=JSON)
    assert (answer.status, "default_group" in answer.message) == (404, True)
    assert "default_project" in (await server.post("/legacy/", [])).message


async def test_an_unknown_group_or_project_is_404(make_server: MakeServer) -> None:
    server = await make_server(TWO_GROUPS)
    for path in (
        "groups/nope/-/packages/pypi/simple/",
        "groups/77/-/packages/pypi/simple/demo-pkg/",
        "groups/open%2Fnope/-/packages/pypi/simple/",
        "groups/open%2Ftools/-/packages/pypi/simple/",
        "groups/0/-/packages/pypi/simple/",
        "groups/-7/-/packages/pypi/simple/",
        f"groups/{'7' * 400}/-/packages/pypi/simple/",
        "groups/Open/-/packages/pypi/simple/",
        "groups/..%2Fopen/-/packages/pypi/simple/",
        "projects/open/packages/pypi/simple/",
        "projects/77/packages/pypi/simple/",
        "projects/tools/packages/pypi/simple/",
        "projects/open%252Ftools/packages/pypi/simple/",
    ):
        answer = await server.get(f"/api/v4/{path}", Accept=JSON)
        assert (answer.status, answer.told) == (404, {"message": "404 Not Found"}), path


# Local names


@pytest.mark.standard(69, 70)
@pytest.mark.parametrize("prefix", ["", "/api/v4/projects/1/packages/pypi", "/api/v4/groups/1/-/packages/pypi"])
async def test_a_local_name_shadows_the_upstream_in_every_spelling(
    server: Server, index: FakeIndex, prefix: str
) -> None:
    public = index.add_wheel("demo-pkg", "99.0")
    own = build_wheel("Demo_Pkg", "1.0")
    await publish(server, own)
    for spelling in ("Demo.Pkg", "demo_pkg", "DEMO--PKG"):
        assert (await server.get(f"{prefix}/simple/{spelling}/")).status == 301
    assert (await server.page(f"{prefix}/simple/demo-pkg/")).filenames == [own.filename]
    assert (await server.get(f"{prefix}/files/{public.sha256}/{public.filename}")).status == 404
    assert index.requests == []


@pytest.mark.standard(70)
async def test_no_file_name_that_may_be_local_is_asked_of_the_upstream(server: Server, index: FakeIndex) -> None:
    await publish(server, build_sdist("acme-tool", "1.0"))
    for filename in (
        "acme-tool-2.0-1.tar.gz",
        "acme_tool-9-py3-none-any.whl",
        "Acme.Tool-1.0.zip",
        "acme-tool-1.0-x-2.zip",
    ):
        assert (await server.get(f"/files/{'0' * 64}/{filename}")).status == 404
    assert index.requests == []


async def test_publishing_a_name_hides_the_upstream_at_once(server: Server, index: FakeIndex) -> None:
    file = index.add_wheel("demo-pkg", "1.0")
    await check_shown(server, "demo-pkg", file)
    own = build_wheel("demo-pkg", "0.1")
    await publish(server, own)
    assert (await server.page("/simple/demo-pkg/")).filenames == [own.filename]
    assert (await server.get(f"/files/{file.sha256}/{file.filename}")).status == 404


@pytest.mark.standard(69)
async def test_a_name_of_a_sister_project_is_never_forwarded(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(forwards_to(index) + TWO_GROUPS)
    file = index.add_wheel("demo-pkg", "99.0")
    await publish(server, build_wheel("demo-pkg", "1.0"), to="/api/v4/projects/8/packages/pypi")
    await check_absent(server, "/api/v4/projects/7/packages/pypi", "demo-pkg", file)
    assert index.requests == []


async def test_a_name_is_local_under_its_own_top_level_group_alone(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(forwards_to(index) + TWO_GROUPS)
    file = index.add_wheel("demo-pkg", "99.0")
    await publish(server, build_wheel("demo-pkg", "1.0"), to="/api/v4/projects/9/packages/pypi")
    assert (await server.page(f"{OPEN}/simple/demo-pkg/")).filenames == [file.filename]


async def test_a_file_is_served_through_the_scopes_that_list_it_alone(
    make_server: MakeServer, index: FakeIndex
) -> None:
    server = await make_server(forwards_to(index) + TWO_GROUPS)
    own = build_wheel("demo-pkg", "1.0")
    await publish(server, own, to="/api/v4/projects/8/packages/pypi")
    path = f"files/{own.sha256}/{own.filename}"
    found = {
        prefix: (await server.get(f"{prefix}/{path}")).status
        for prefix in (
            "/api/v4/projects/8/packages/pypi",
            "/api/v4/groups/8/-/packages/pypi",
            OPEN,
            "/api/v4/projects/7/packages/pypi",
            CLOSED,
        )
    }
    assert [*found.values()] == [200, 200, 200, 404, 404]
