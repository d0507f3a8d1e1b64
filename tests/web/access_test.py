"""What a caller learns of what it may not read: nothing, in words, headers, or by what leaves for the upstream."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.web.callers import basic
from tests.web.server import JSON, TEXT, forwards_to
from tests.web.uploads import publish, upload

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.web.server import Answer, MakeServer, Server

REALM = 'Basic realm="GitLab Packages Registry"'
WHEEL = build_wheel("demo-pkg", "1.0")

GROUPS = """
[groups."open"]
id = 1
[projects."open/tools"]
id = 1
[groups."hidden"]
id = 2
visibility = "private"
[projects."hidden/tools"]
id = 2
[projects."hidden/shared"]
id = 3
open_registry = true
[groups."mixed"]
id = 4
[projects."mixed/open"]
id = 4
[projects."mixed/hidden"]
id = 5
visibility = "private"
"""
OPEN, HIDDEN, SHARED, MIXED_OPEN, MIXED_HIDDEN = (
    f"/api/v4/projects/{path.replace('/', '%2F')}/packages/pypi"
    for path in ("open/tools", "hidden/tools", "hidden/shared", "mixed/open", "mixed/hidden")
)
HIDDEN_GROUP, MIXED_GROUP = (f"/api/v4/groups/{path}/-/packages/pypi" for path in ("hidden", "mixed"))
NOWHERE = "/api/v4/projects/nowhere%2Ftools/packages/pypi"
NO_GROUP = "/api/v4/groups/nowhere/-/packages/pypi"


def token(name: str, access: str, scopes: str = '["api"]', more: str = "") -> str:
    """The table of a token whose secret is its name."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f'[[tokens]]\nname = "{name}"\nsha256 = "{digest}"\nscopes = {scopes}\naccess = {access}\n{more}'


TOKENS = "".join(
    [
        token("guest", '{open = "guest", hidden = "guest", mixed = "guest"}'),
        token("developer", '{open = "developer", hidden = "developer", mixed = "developer"}'),
        token("stranger", "{}"),
        token("reader", '{hidden = "owner"}', scopes='["read_api"]'),
        token("old", '{hidden = "owner"}', more="expires = 2020-01-01T00:00:00Z\n"),
    ]
)
GUEST, DEVELOPER, STRANGER, READER, OLD = (
    basic("__token__", name) for name in ("guest", "developer", "stranger", "reader", "old")
)


@pytest.fixture
async def server(make_server: MakeServer, index: FakeIndex) -> Server:
    """Every project but `mixed/open` has WHEEL; the upstream has `public-pkg`."""
    server = await make_server(forwards_to(index) + GROUPS + TOKENS)
    index.add_wheel("public-pkg", "1.0")
    for to in (OPEN, HIDDEN, SHARED, MIXED_HIDDEN):
        await publish(server, WHEEL, to=to, **DEVELOPER)
    return server


async def read(server: Server, prefix: str, headers: dict[str, str]) -> list[Answer]:
    """The root, the page, the file and its metadata."""
    link = f"{prefix}/files/{WHEEL.sha256}/{WHEEL.filename}"
    paths = (f"{prefix}/simple/", f"{prefix}/simple/demo-pkg/", link, f"{link}.metadata")
    return [await server.get(path, **headers) for path in paths]


def statuses(answers: list[Answer]) -> set[int]:
    return {answer.status for answer in answers}


@pytest.mark.standard(95, 96)
async def test_refusals_are_worded_as_gitlabs(server: Server) -> None:
    page = f"{HIDDEN}/simple/demo-pkg/"
    assert (await server.get(page)).told == {"message": "401 Unauthorized"}
    assert (await server.get(page, **STRANGER)).told == {"message": "404 Not Found"}
    assert (await upload(server, WHEEL, to=HIDDEN, **GUEST)).told == {"message": "403 Forbidden"}
    lacking = await upload(server, WHEEL, to=HIDDEN, **READER)
    assert (lacking.status, lacking.told["error"]) == (403, "insufficient_scope")
    assert lacking.told["scope"] == "api read_api"
    expired = await server.get(page, **OLD)
    assert (expired.told["error"], "expired" in expired.told["error_description"]) == ("invalid_token", True)
    browser = await server.get(page, Accept=TEXT)
    assert (browser.status, browser.headers["WWW-Authenticate"]) == (401, REALM)
    assert b"401 Unauthorized" in browser.body


@pytest.mark.standard(96)
async def test_a_stranger_cannot_tell_a_private_project_from_none(server: Server) -> None:
    def told(answer: Answer) -> tuple[object, ...]:
        changing = {"date", "x-request-id"}
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in changing}
        return answer.status, answer.reason, kept, answer.body

    for there, nowhere in ((HIDDEN, NOWHERE), (HIDDEN_GROUP, NO_GROUP)):
        answers = await read(server, there, STRANGER), await read(server, nowhere, STRANGER)
        assert list(map(told, answers[0])) == list(map(told, answers[1]))


# Groups with private projects


async def test_a_group_shows_each_caller_the_projects_that_it_may_read(server: Server) -> None:
    await publish(server, build_wheel("open-pkg", "1.0"), to=MIXED_OPEN, **DEVELOPER)
    for headers, names in (({}, ["open-pkg"]), (GUEST, ["demo-pkg", "open-pkg"])):
        assert (await server.get(f"{MIXED_GROUP}/simple/", Accept=JSON, **headers)).projects == names
    assert (await server.get(f"{MIXED_GROUP}/simple/open-pkg/")).status == 200


@pytest.mark.standard(70, 96)
@pytest.mark.parametrize("name", ["demo-pkg", "public-pkg", "never-heard-of"])
async def test_nobody_learns_which_names_a_group_with_private_projects_holds(
    server: Server, index: FakeIndex, name: str
) -> None:
    for path in (f"{MIXED_GROUP}/simple/{name}/", f"{MIXED_GROUP}/files/{WHEEL.sha256}/{name}-1.0.tar.gz"):
        answer = await server.get(path)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, REALM)
    assert index.requests == []


@pytest.mark.standard(70, 96)
async def test_a_private_name_is_404_to_who_may_not_read_it_and_never_forwarded(
    server: Server, index: FakeIndex
) -> None:
    index.add_wheel("demo-pkg", "99.0")
    hidden = await server.get(f"{MIXED_GROUP}/simple/demo-pkg/", Accept=JSON, **STRANGER)
    assert (hidden.status, hidden.told) == (404, {"message": "404 Package Not Found"})
    assert "X-Index-Decision" not in hidden.headers
    shown = await server.get(f"{MIXED_GROUP}/simple/public-pkg/", Accept=JSON, **STRANGER)
    assert shown.status == 200
    assert {ask.path for ask in index.requests} == {"/simple/public-pkg/"}


async def test_an_open_registry_opens_its_own_routes_alone(server: Server) -> None:
    assert statuses(await read(server, SHARED, {})) == {200}
    assert statuses(await read(server, HIDDEN_GROUP, {})) == {401}


# Caches and upstreams


@pytest.mark.standard(98)
async def test_no_credentials_reach_the_upstream(server: Server, index: FakeIndex) -> None:
    page = await server.page(f"{OPEN}/simple/public-pkg/", **GUEST, Cookie="a=b", Private_Token="guest")
    (file,) = page.files
    assert (await server.get(f"{OPEN}/files/{file.hashes['sha256']}/{file.filename}", **GUEST)).status == 200
    assert len(index.requests) == 2
    for ask in index.requests:
        assert not {"authorization", "cookie", "private-token"} & {name.lower() for name in ask.headers}
        assert "X-Forwarded-For" not in ask.headers


async def test_without_anonymous_access_every_route_asks_for_credentials(
    make_server: MakeServer, index: FakeIndex
) -> None:
    server = await make_server(f'[access]\nanonymous = "none"\n{forwards_to(index)}{GROUPS}{TOKENS}')
    await publish(server, WHEEL, to=OPEN, **DEVELOPER)
    assert statuses(await read(server, OPEN, {})) == {401}
    assert statuses(await read(server, OPEN, GUEST)) == {200}
    assert (await server.get("/-/health")).status == 200
