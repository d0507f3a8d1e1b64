"""Which names leave the machine, and which files come back: one decision for pages, files, metadata and ranges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_sdist, build_wheel
from tests.fake_index import FakeIndex, Status
from tests.web.server import JSON, forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fake_index import File
    from tests.web.server import Answer, MakeServer, Server

SHORT = ""
OPEN = "/api/v4/groups/open/-/packages/pypi"
CLOSED = "/api/v4/groups/closed/-/packages/pypi"
NOT_FOUND = {"message": "404 Package Not Found"}
DAYS = timedelta(days=1)


def group(**settings: str) -> str:
    """The built-in group with these settings, whose values are TOML."""
    keys = "".join(f"{key} = {value}\n" for key, value in settings.items())
    return f'[groups."default"]\nid = 1\n{keys}[projects."default/packages"]\nid = 1\n'


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


async def ask_in_every_way(server: Server, prefix: str, project: str, file: File) -> list[Answer]:
    """The page, and the file by each request that could bring its bytes."""
    link = f"{prefix}/files/{file.sha256}/{file.filename}"
    return [
        await server.get(f"{prefix}/simple/{project}/", Accept=JSON),
        await server.get(link),
        await server.get(f"{link}.metadata"),
        await server.get(link, Range="bytes=0-9"),
        await server.get(link, If_None_Match="*"),
        await server.head(link),
    ]


async def check_absent(server: Server, prefix: str, project: str, file: File) -> None:
    for answer in await ask_in_every_way(server, prefix, project, file):
        assert answer.status == 404, answer


async def check_hidden(server: Server, project: str, *hidden: File) -> None:
    """The page is there without these files, and nothing else brings them."""
    page = await server.page(f"/simple/{project}/")
    for file in hidden:
        assert file.filename not in page.filenames
        assert file.version not in page.versions
        for answer in (await ask_in_every_way(server, SHORT, project, file))[1:]:
            assert answer.status == 404, answer


async def check_shown(server: Server, project: str, *shown: File) -> None:
    assert (await server.page(f"/simple/{project}/")).filenames == [file.filename for file in shown]
    for file in shown:
        assert (await server.get(f"/files/{file.sha256}/{file.filename}")).body == file.data


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
@pytest.mark.parametrize("prefix", [SHORT, "/api/v4/projects/1/packages/pypi", "/api/v4/groups/1/-/packages/pypi"])
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


# Rules


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"reserved": '["demo-*"]'}, id="reserved"),
        pytest.param({"reserved": '["Demo_Pkg"]'}, id="reserved in another spelling"),
        pytest.param({"deny": '["demo-pkg"]'}, id="denied"),
        pytest.param({"allow": '["other", "demo"]'}, id="not allowed"),
        pytest.param({"forwarding": "false"}, id="not forwarded"),
        pytest.param({"upstreams": "[]"}, id="no upstream"),
    ],
)
async def test_a_name_that_a_rule_holds_back_never_leaves(
    make_server: MakeServer, index: FakeIndex, settings: dict[str, str]
) -> None:
    file = index.add_wheel("demo-pkg", "1.0")
    server = await make_server(forwards_to(index) + group())
    await check_shown(server, "demo-pkg", file)
    await server.close()
    index.clear_requests()
    server = await make_server(forwards_to(index) + group(**settings))
    await check_absent(server, SHORT, "demo-pkg", file)
    assert (await server.get("/simple/demo-pkg/", Accept=JSON)).told == NOT_FOUND
    assert index.requests == []


async def test_a_reserved_name_can_still_be_published(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(forwards_to(index) + group(reserved='["demo-*"]'))
    own = build_wheel("demo-pkg", "1.0")
    await publish(server, own)
    assert (await server.page("/simple/demo-pkg/")).filenames == [own.filename]


@pytest.mark.parametrize(
    "settings",
    [{"deny": '["demo-pkg>=2"]'}, {"allow": '["demo-pkg<2"]'}, {"deny": '["demo-pkg==2.*", "demo-pkg>=3.dev0"]'}],
    ids=str,
)
async def test_a_rule_on_versions_counts_for_page_and_file(
    make_server: MakeServer, index: FakeIndex, settings: dict[str, str]
) -> None:
    kept = index.add_wheel("demo-pkg", "1.0")
    hidden = [index.add_wheel("demo-pkg", "2.0"), index.add_sdist("demo-pkg", "3.0")]
    server = await make_server(forwards_to(index) + group())
    await check_shown(server, "demo-pkg", kept, *hidden)
    await server.close()
    server = await make_server(forwards_to(index) + group(**settings))
    await check_shown(server, "demo-pkg", kept)
    await check_hidden(server, "demo-pkg", *hidden)


async def test_young_files_are_hidden_on_page_and_file(make_server: MakeServer, index: FakeIndex) -> None:
    now = datetime.now(UTC)
    old = index.add_wheel("demo-pkg", "1.0", upload_time=now - 8 * DAYS)
    young = index.add_wheel("demo-pkg", "2.0", upload_time=now - 6 * DAYS)
    unknown = index.add_wheel("demo-pkg", "3.0", upload_time=None)
    future = index.add_wheel("demo-pkg", "4.0", upload_time=now + 9 * DAYS)
    server = await make_server(forwards_to(index) + group())
    await check_shown(server, "demo-pkg", old, young, unknown, future)
    await server.close()
    server = await make_server(forwards_to(index) + group(min_age='"7d"'))
    await check_shown(server, "demo-pkg", old)
    await check_hidden(server, "demo-pkg", young, unknown, future)


async def test_an_exemption_lets_a_young_file_through(make_server: MakeServer, index: FakeIndex) -> None:
    young = [index.add_wheel("demo-pkg", version, upload_time=datetime.now(UTC)) for version in ("1.0", "2.0")]
    past = "2020-01-01T00:00:00Z"
    exempt = f'["demo-pkg==1.0", {{match = "demo-pkg==2.0", reason = "urgent", until = {past}}}]'
    server = await make_server(forwards_to(index) + group(min_age='"7d"', min_age_exempt=exempt))
    await check_shown(server, "demo-pkg", young[0])
    await check_hidden(server, "demo-pkg", young[1])


# Merged names and several upstreams


@pytest.mark.standard(69)
async def test_a_merged_name_shows_both_and_the_local_file_wins(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(forwards_to(index) + group(merge='["demo-*"]', deny='["demo-pkg>=3"]'))
    shadowed = index.add_wheel("demo-pkg", "1.0", modules={"demo_pkg.py": "theirs"})
    theirs = index.add_wheel("demo-pkg", "2.0")
    denied = index.add_wheel("demo-pkg", "3.0")
    own = build_wheel("demo-pkg", "1.0")
    await publish(server, own)
    page = await server.page("/simple/demo-pkg/")
    assert page.filenames == [own.filename, theirs.filename]
    assert page.versions == ("1.0", "2.0")
    assert page.files[0].hashes == {"sha256": own.sha256}
    for file, status in ((own, 200), (theirs, 200), (shadowed, 404), (denied, 404)):
        assert (await server.get(f"/files/{file.sha256}/{file.filename}")).status == status


@pytest.mark.standard(103)
async def test_a_merged_page_is_an_error_without_its_upstream_but_its_own_files_are_there(
    make_server: MakeServer, index: FakeIndex
) -> None:
    server = await make_server(forwards_to(index) + group(merge='["demo-*"]'))
    own = build_wheel("demo-pkg", "1.0")
    await publish(server, own)
    await index.down()
    assert (await server.get("/simple/demo-pkg/", Accept=JSON)).status == 503
    assert (await server.get(f"/files/{own.sha256}/{own.filename}")).body == own.data
    assert (await server.get(f"/files/{own.sha256}/{own.filename}.metadata")).body == own.metadata


@pytest.fixture
async def second() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as second:
        yield second


async def test_the_first_upstream_that_has_the_project_serves_it(
    make_server: MakeServer, index: FakeIndex, second: FakeIndex
) -> None:
    both = forwards_to(index) + forwards_to(second, "corp") + group(upstreams='["corp", "pypi"]')
    server = await make_server(both)
    index.add_wheel("demo-pkg", "1.0")
    theirs = second.add_wheel("demo-pkg", "2.0")
    other = index.add_wheel("other", "1.0")
    await check_shown(server, "demo-pkg", theirs)
    assert index.requests == []
    await check_shown(server, "other", other)


@pytest.mark.parametrize("status", [403, 410, 429, 500, 503])
async def test_trouble_with_an_upstream_does_not_pass_on_to_the_next(
    make_server: MakeServer, index: FakeIndex, second: FakeIndex, status: int
) -> None:
    both = forwards_to(index) + forwards_to(second, "corp") + group(upstreams='["corp", "pypi"]')
    server = await make_server(both)
    index.add_wheel("demo-pkg", "1.0")
    second.fault(Status(status))
    assert (await server.get("/simple/demo-pkg/")).status == 503
    assert index.requests == []
