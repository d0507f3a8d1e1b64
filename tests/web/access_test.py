"""Who gets what: GitLab's credentials and its table of 200, 401, 403 and 404."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.web.server import JSON, TEXT, forwards_to
from tests.web.uploads import publish, upload

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.web.server import Answer, MakeServer, Server

REALM = 'Basic realm="GitLab Packages Registry"'
WHEEL = build_wheel("demo-pkg", "1.0")
READ_WRITE = '["read_package_registry", "write_package_registry"]'

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


def token(name: str, kind: str = "personal", scopes: str = READ_WRITE, more: str = "", **access: str) -> str:
    """The table of a token whose secret is its name; `access` are roles by the first segment of the path."""
    paths = {"open": "open", "hidden": "hidden", "mixed": "mixed", "tools": "hidden/tools"}
    roles = ", ".join(f'"{paths[path]}" = "{role}"' for path, role in access.items())
    digest = hashlib.sha256(name.encode()).hexdigest()
    return (
        f'[[tokens]]\nname = "{name}"\nkind = "{kind}"\nsha256 = "{digest}"\n'
        f"scopes = {scopes}\naccess = {{{roles}}}\n{more}"
    )


TOKENS = "".join(
    [
        token("guest", hidden="guest", open="guest", mixed="guest"),
        token("developer", hidden="developer", open="developer", mixed="developer"),
        token("stranger"),
        token("reader", scopes='["read_api"]', hidden="owner", open="owner"),
        token("writer", scopes='["write_package_registry"]', hidden="developer"),
        token("deploy", "deploy", hidden="developer", open="developer"),
        token("job", "job", hidden="developer", open="developer"),
        token("old", hidden="owner", open="owner", more="expires = 2020-01-01T00:00:00Z\n"),
        token("one-project", tools="developer"),
    ]
)


def basic(user: str, secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{secret}'.encode()).decode()}"}


def anyone(secret: str) -> dict[str, str]:
    return basic("__token__", secret)


JOB = basic("gitlab-ci-token", "job")


@pytest.fixture
async def server(make_server: MakeServer, index: FakeIndex) -> Server:
    """Every project but `mixed/open` has WHEEL; the upstream has `public-pkg`."""
    server = await make_server(forwards_to(index) + GROUPS + TOKENS)
    index.add_wheel("public-pkg", "1.0")
    for to in (OPEN, HIDDEN, SHARED, MIXED_HIDDEN):
        await publish(server, WHEEL, to=to, **anyone("developer"))
    return server


async def read(server: Server, prefix: str, headers: dict[str, str]) -> list[Answer]:
    """The root, the page, the file and its metadata."""
    link = f"{prefix}/files/{WHEEL.sha256}/{WHEEL.filename}"
    paths = (f"{prefix}/simple/", f"{prefix}/simple/demo-pkg/", link, f"{link}.metadata")
    return [await server.get(path, **headers) for path in paths]


def statuses(answers: list[Answer]) -> set[int]:
    return {answer.status for answer in answers}


@pytest.mark.standard(95, 96, 97)
@pytest.mark.parametrize(
    ("prefix", "headers", "reads", "writes"),
    [
        pytest.param(OPEN, {}, 200, 401, id="public, nobody"),
        pytest.param(OPEN, anyone("wrong"), 200, 401, id="public, unknown token"),
        pytest.param(OPEN, basic("gitlab-ci-token", "wrong"), 401, 401, id="public, bad job token"),
        pytest.param(OPEN, basic("somebody", "job"), 200, 401, id="public, job token under another name"),
        pytest.param(OPEN, anyone("guest"), 200, 403, id="public, guest"),
        pytest.param(OPEN, anyone("stranger"), 200, 403, id="public, stranger"),
        pytest.param(OPEN, anyone("developer"), 200, 400, id="public, developer"),
        pytest.param(HIDDEN, {}, 401, 401, id="private, nobody"),
        pytest.param(HIDDEN, anyone("wrong"), 401, 401, id="private, unknown token"),
        pytest.param(HIDDEN, anyone("stranger"), 404, 404, id="private, stranger"),
        pytest.param(HIDDEN, anyone("guest"), 200, 403, id="private, guest"),
        pytest.param(HIDDEN, anyone("developer"), 200, 400, id="private, developer"),
        pytest.param(HIDDEN, anyone("one-project"), 200, 400, id="private, developer of the project"),
        pytest.param(HIDDEN, anyone("reader"), 200, 403, id="private, owner without the scope to write"),
        pytest.param(HIDDEN, anyone("writer"), 200, 400, id="private, scope to write alone"),
        pytest.param(HIDDEN, anyone("deploy"), 200, 400, id="private, deploy token"),
        pytest.param(HIDDEN, {"Deploy-Token": "deploy"}, 200, 400, id="private, deploy token in its header"),
        pytest.param(HIDDEN, {"Deploy-Token": "wrong"}, 401, 401, id="private, wrong deploy token"),
        pytest.param(HIDDEN, {"PRIVATE-TOKEN": "developer"}, 200, 400, id="private, private token"),
        pytest.param(HIDDEN, {"PRIVATE-TOKEN": "wrong"}, 401, 401, id="private, wrong private token"),
        pytest.param(HIDDEN, {"Authorization": "Bearer developer"}, 200, 400, id="private, bearer"),
        pytest.param(HIDDEN, {"Authorization": "Bearer wrong"}, 401, 401, id="private, wrong bearer"),
        pytest.param(HIDDEN, {"Authorization": "bearer job"}, 200, 400, id="private, job token as bearer"),
        pytest.param(HIDDEN, {"JOB-TOKEN": "job"}, 401, 401, id="private, a header that is not read here"),
        pytest.param(HIDDEN, JOB, 200, 400, id="private, job token"),
        pytest.param(HIDDEN, basic("gitlab-ci-token", "wrong"), 401, 401, id="private, bad job token"),
        pytest.param(HIDDEN, basic("somebody", "job"), 401, 401, id="private, job token under another name"),
        pytest.param(HIDDEN, anyone("old"), 401, 401, id="private, expired token"),
        pytest.param(OPEN, anyone("old"), 401, 401, id="public, expired token"),
        pytest.param(SHARED, {}, 200, 401, id="open registry, nobody"),
        pytest.param(SHARED, anyone("stranger"), 200, 404, id="open registry, stranger"),
        pytest.param(HIDDEN_GROUP, {}, 401, None, id="private group, nobody"),
        pytest.param(HIDDEN_GROUP, anyone("stranger"), 404, None, id="private group, stranger"),
        pytest.param(HIDDEN_GROUP, anyone("guest"), 200, None, id="private group, guest"),
        pytest.param(HIDDEN_GROUP, anyone("one-project"), 404, None, id="private group, member of one project"),
        pytest.param(NOWHERE, {}, 404, 404, id="nowhere, nobody"),
        pytest.param(NOWHERE, anyone("developer"), 404, 404, id="nowhere, developer"),
        pytest.param(OPEN, {"Authorization": "Basic !!!"}, 200, 401, id="no base64"),
        pytest.param(OPEN, {"Authorization": "Basic \u00e9"}, 200, 401, id="no ASCII"),
        pytest.param(OPEN, {"Authorization": "Digest x"}, 200, 401, id="another scheme"),
    ],
)
async def test_gitlabs_table(
    server: Server, prefix: str, headers: dict[str, str], reads: int, writes: int | None
) -> None:
    answers = await read(server, prefix, headers)
    assert statuses(answers) == {reads}, answers
    if writes is not None:  # WHEEL is there already: who may publish is told so
        answers.append(await upload(server, WHEEL, to=prefix, **headers))
        answers.append(await server.post(f"{prefix}/authorize", [], **headers))
        assert answers[-2].status == writes
        assert answers[-1].status == (200 if writes == 400 else writes)
    for answer in answers:
        assert (answer.headers.get("WWW-Authenticate") == REALM) == (answer.status == 401)


@pytest.mark.standard(95, 96)
async def test_refusals_are_worded_as_gitlabs(server: Server) -> None:
    page = f"{HIDDEN}/simple/demo-pkg/"
    assert (await server.get(page)).told == {"message": "401 Unauthorized"}
    assert (await server.get(page, **anyone("stranger"))).told == {"message": "404 Not Found"}
    assert (await upload(server, WHEEL, to=HIDDEN, **anyone("guest"))).told == {"message": "403 Forbidden"}
    lacking = await upload(server, WHEEL, to=HIDDEN, **anyone("reader"))
    assert (lacking.status, lacking.told["error"], lacking.told["scope"]) == (
        403,
        "insufficient_scope",
        "api read_api",
    )
    expired = await server.get(page, **anyone("old"))
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

    stranger = anyone("stranger")
    nowhere_group = NOWHERE.replace("projects/nowhere%2Ftools", "groups/nowhere/-")
    pairs = [(await read(server, HIDDEN, stranger), await read(server, NOWHERE, stranger))]
    pairs.append((await read(server, HIDDEN_GROUP, stranger), await read(server, nowhere_group, stranger)))
    for there, nowhere in pairs:
        assert list(map(told, there)) == list(map(told, nowhere))


# Groups with private projects


async def test_a_group_shows_each_caller_the_projects_that_it_may_read(server: Server) -> None:
    await publish(server, build_wheel("open-pkg", "1.0"), to=MIXED_OPEN, **anyone("developer"))
    for headers, names in (({}, ["open-pkg"]), (anyone("guest"), ["demo-pkg", "open-pkg"])):
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
    hidden = await server.get(f"{MIXED_GROUP}/simple/demo-pkg/", Accept=JSON, **anyone("stranger"))
    assert (hidden.status, hidden.told) == (404, {"message": "404 Package Not Found"})
    assert "X-Index-Decision" not in hidden.headers
    shown = await server.get(f"{MIXED_GROUP}/simple/public-pkg/", Accept=JSON, **anyone("stranger"))
    assert shown.status == 200
    assert {ask.path for ask in index.requests} == {"/simple/public-pkg/"}


async def test_an_open_registry_opens_its_own_routes_alone(server: Server) -> None:
    assert statuses(await read(server, SHARED, {})) == {200}
    assert statuses(await read(server, HIDDEN_GROUP, {})) == {401}


# Caches and upstreams


@pytest.mark.parametrize("prefix", [OPEN, HIDDEN])
async def test_an_answer_to_a_known_caller_is_private(server: Server, prefix: str) -> None:
    for answer in await read(server, prefix, anyone("guest")):
        assert answer.headers["Cache-Control"].startswith("private, ")
        unchanged = await server.get(answer.path, If_None_Match=answer.headers["ETag"], **anyone("guest"))
        assert (unchanged.status, unchanged.headers["Cache-Control"]) == (304, answer.headers["Cache-Control"])


@pytest.mark.parametrize("headers", [{}, anyone("wrong")], ids=["nobody", "unknown token"])
async def test_an_answer_to_nobody_in_particular_may_be_shared(server: Server, headers: dict[str, str]) -> None:
    for answer in await read(server, OPEN, headers):
        assert "private" not in answer.headers["Cache-Control"]


@pytest.mark.standard(98)
async def test_no_credentials_reach_the_upstream(server: Server, index: FakeIndex) -> None:
    page = await server.page(f"{OPEN}/simple/public-pkg/", **anyone("guest"), Cookie="a=b", Private_Token="guest")
    (file,) = page.files
    assert (await server.get(f"{OPEN}/files/{file.hashes['sha256']}/{file.filename}", **JOB)).status == 200
    assert len(index.requests) == 2
    for ask in index.requests:
        assert not {"authorization", "cookie", "private-token"} & {name.lower() for name in ask.headers}
        assert "X-Forwarded-For" not in ask.headers


async def test_without_anonymous_access_every_route_asks_for_credentials(
    make_server: MakeServer, index: FakeIndex
) -> None:
    server = await make_server(f'[access]\nanonymous = "none"\n{forwards_to(index)}{GROUPS}{TOKENS}')
    await publish(server, WHEEL, to=OPEN, **anyone("developer"))
    assert statuses(await read(server, OPEN, {})) == {401}
    assert statuses(await read(server, OPEN, anyone("guest"))) == {200}
    assert (await server.get("/-/health")).status == 200


@pytest.mark.standard(71)
async def test_guessing_is_slowed_down_for_the_guesser_alone(server: Server) -> None:
    page = f"{HIDDEN}/simple/demo-pkg/"
    guesses = [await server.get(page, **anyone(f"guess-{number}")) for number in range(51)]
    assert [guess.status for guess in guesses] == [401] * 50 + [429]
    assert 0 < int(guesses[-1].headers["Retry-After"]) <= 60
    assert (await server.get(page, **anyone("guest"))).status == 200
    assert (await server.get(page)).status == 401
    assert (await server.get(f"{OPEN}/simple/demo-pkg/")).status == 200
