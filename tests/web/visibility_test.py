"""GitLab's table: who gets what at every route that reads or publishes, by visibility and credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.web.callers import (
    CONFIG,
    DEVELOPER,
    NOBODY,
    basic,
    bearer,
    deploy_token,
    job,
    private_token,
)
from tests.web.uploads import form, publish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.web.callers import Headers
    from tests.web.server import MakeServer, Server

PRESENT = build_wheel("demo", "1.0")
NEW = build_wheel("demo", "2.0")
NUMBER = {"open": 1, "closed": 2, "closed/ajar": 3}
WRONG = "no-such-secret"

# Reading and publishing, first where all is public, then where all is private.
TABLE: dict[str, tuple[Headers, tuple[int, int], tuple[int, int]]] = {
    "anonymous": (NOBODY, (200, 401), (401, 401)),
    "personal, developer": (DEVELOPER, (200, 201), (200, 201)),
    "personal, guest": (basic("zoe", "guest"), (200, 403), (200, 403)),
    "personal, non-member": (basic("zoe", "stranger"), (200, 403), (404, 404)),
    "personal, without the scope": (basic("zoe", "reader"), (200, 403), (200, 403)),
    "personal, without any scope": (basic("zoe", "bare"), (403, 403), (403, 403)),
    "personal, wrong": (basic("zoe", WRONG), (200, 401), (401, 401)),
    "personal, expired": (basic("zoe", "expired"), (401, 401), (401, 401)),
    "personal, as gitlab-ci-token": (job("developer"), (200, 201), (200, 201)),
    "personal, without user name": (basic("", "developer"), (200, 201), (200, 201)),
    "the secret as user name": (basic("developer", ""), (200, 401), (401, 401)),
    "PRIVATE-TOKEN": (private_token("developer"), (200, 201), (200, 201)),
    "PRIVATE-TOKEN, wrong": (private_token(WRONG), (401, 401), (401, 401)),
    "PRIVATE-TOKEN, expired": (private_token("expired"), (401, 401), (401, 401)),
    "PRIVATE-TOKEN, of a deploy token": (private_token("deploy"), (401, 401), (401, 401)),
    "PRIVATE-TOKEN, of a job": (private_token("job"), (401, 401), (401, 401)),
    "Bearer, personal": (bearer("developer"), (200, 201), (200, 201)),
    "Bearer, deploy": (bearer("deploy"), (200, 201), (200, 201)),
    "Bearer, job": (bearer("job"), (200, 201), (200, 201)),
    "Bearer, wrong": (bearer(WRONG), (401, 401), (401, 401)),
    "Bearer, expired deploy": (bearer("deploy-expired"), (401, 401), (401, 401)),
    "deploy": (basic("anything", "deploy"), (200, 201), (200, 201)),
    "deploy, as gitlab-ci-token": (job("deploy"), (200, 201), (200, 201)),
    "deploy, reading alone": (basic("anything", "deploy-reader"), (200, 403), (200, 403)),
    "deploy, wrong": (basic("deploy", WRONG), (200, 401), (401, 401)),
    "deploy, expired": (basic("anything", "deploy-expired"), (200, 401), (401, 401)),
    "Deploy-Token": (deploy_token("deploy"), (200, 201), (200, 201)),
    "Deploy-Token, wrong": (deploy_token(WRONG), (200, 401), (401, 401)),
    "Deploy-Token, personal": (deploy_token("developer"), (200, 401), (401, 401)),
    "job": (job("job"), (200, 201), (200, 201)),
    "job, reading alone": (job("job-reader"), (200, 403), (200, 403)),
    "job, wrong": (job(WRONG), (401, 401), (401, 401)),
    "job, expired": (job("job-expired"), (401, 401), (401, 401)),
    "job, another user name": (job("job", "foo"), (200, 401), (401, 401)),
    "job, no secret": (job(""), (200, 401), (401, 401)),
    "JOB-TOKEN": ({"JOB-TOKEN": "job"}, (200, 401), (401, 401)),
    "JOB-TOKEN, wrong": ({"JOB-TOKEN": WRONG}, (200, 401), (401, 401)),
    "Basic, not base64": ({"Authorization": "Basic %%%"}, (200, 401), (401, 401)),
    "Basic, no colon": ({"Authorization": "Basic ZGV2ZWxvcGVy"}, (200, 401), (401, 401)),
    "another scheme": ({"Authorization": "Digest developer"}, (200, 401), (401, 401)),
}
OPENED = ["anonymous", "personal, non-member", "personal, guest", "personal, wrong", "deploy, wrong"]
"""Callers for whom an open registry makes the difference, or none."""


def prefixes(group: str, project: str = "") -> Iterator[str]:
    """The group's and its project's routes, by number and by path."""
    path = project or f"{group}/tools"
    yield f"/api/v4/groups/{NUMBER[group]}/-/packages/pypi"
    yield f"/api/v4/groups/{group}/-/packages/pypi"
    yield from project_prefixes(path, NUMBER[group])


def project_prefixes(path: str, number: int) -> Iterator[str]:
    yield f"/api/v4/projects/{number}/packages/pypi"
    yield f"/api/v4/projects/{path.replace('/', '%2F')}/packages/pypi"


def readings(prefix: str) -> list[str]:
    """The index, a page, a file and its metadata."""
    file = f"{prefix}/files/{PRESENT.sha256}/{PRESENT.filename}"
    return [f"{prefix}/simple/", f"{prefix}/simple/demo/", file, f"{file}.metadata"]


async def statuses_of_readings(server: Server, prefix: str, caller: Headers) -> dict[str, int]:
    return {
        f"{method} {path}": (await server.ask(method, path, caller)).status
        for path in readings(prefix)
        for method in ("GET", "HEAD")
    }


async def statuses_of_publishing(server: Server, prefix: str, caller: Headers) -> dict[str, int]:
    """The permission check and the upload itself, in this order."""
    checked = await server.ask("POST", f"{prefix}/authorize", caller)
    uploaded = await server.post(prefix, form(NEW), **caller)
    return {"authorize": checked.status, "upload": uploaded.status}


def publishing(status: int) -> dict[str, int]:
    return {"authorize": 200 if status == 201 else status, "upload": status}


@pytest.fixture
async def server(make_server: MakeServer) -> Server:
    server = await make_server(CONFIG)
    for number in NUMBER.values():
        await publish(server, PRESENT, to=f"/api/v4/projects/{number}/packages/pypi", **DEVELOPER)
    return server


@pytest.mark.standard(95, 96, 97)
@pytest.mark.parametrize("group", ["open", "closed"])
@pytest.mark.parametrize("who", TABLE)
@pytest.mark.gitlab(1, 2, 5, 6, 7, 8, 9, 25)
async def test_who_gets_what(server: Server, group: str, who: str) -> None:
    caller, public, private = TABLE[who]
    read, write = public if group == "open" else private
    for prefix in prefixes(group):
        assert set((await statuses_of_readings(server, prefix, caller)).values()) == {read}, prefix
    prefix, *_ = project_prefixes(f"{group}/tools", NUMBER[group])
    assert await statuses_of_publishing(server, prefix, caller) == publishing(write)


@pytest.mark.parametrize("who", OPENED)
@pytest.mark.gitlab(11)
async def test_anyone_reads_an_open_registry_at_its_project(server: Server, who: str) -> None:
    caller, _, (read, write) = TABLE[who]
    for prefix in project_prefixes("closed/ajar", 3):
        assert set((await statuses_of_readings(server, prefix, caller)).values()) == {200}
    assert await statuses_of_publishing(server, prefix, caller) == publishing(write)
    for prefix in ("/api/v4/groups/2/-/packages/pypi", "/api/v4/groups/closed/-/packages/pypi"):
        assert set((await statuses_of_readings(server, prefix, caller)).values()) == {read}


@pytest.mark.parametrize("who", ["anonymous", "personal, developer", "deploy", "job, wrong", "PRIVATE-TOKEN, wrong"])
@pytest.mark.gitlab(3)
async def test_what_does_not_exist_is_404_for_everyone(server: Server, who: str) -> None:
    caller = TABLE[who][0]
    unknown = ("projects/99", "projects/open", "projects/open%2Fnone", "groups/99/-", "groups/zoe/-")
    for prefix in (f"/api/v4/{each}/packages/pypi" for each in unknown):
        assert set((await statuses_of_readings(server, prefix, caller)).values()) == {404}, prefix
        if "projects" in prefix:
            assert await statuses_of_publishing(server, prefix, caller) == {"authorize": 404, "upload": 404}


@pytest.mark.parametrize("who", [who for who in TABLE if 401 in TABLE[who][2]])
async def test_a_401_tells_how_to_log_in_and_is_kept_by_nobody(server: Server, who: str) -> None:
    prefix = "/api/v4/projects/2/packages/pypi"
    for method, path in (("GET", f"{prefix}/simple/demo/"), ("POST", prefix)):
        answer = await server.ask(method, path, TABLE[who][0])
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="GitLab Packages Registry"'
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.told.get("message", "401 Unauthorized") == "401 Unauthorized"


@pytest.mark.gitlab(10)
async def test_a_token_without_the_scope_is_told_so(server: Server) -> None:
    answer = await server.ask("POST", "/api/v4/projects/1/packages/pypi/authorize", private_token("reader"))
    assert (answer.status, answer.told["error"]) == (403, "insufficient_scope")


@pytest.mark.parametrize("who", [who for who in TABLE if TABLE[who][1][0] == 200])
async def test_what_a_known_caller_gets_no_shared_cache_keeps(server: Server, who: str) -> None:
    caller, _, (read_private, _) = TABLE[who]
    known = read_private != 401  # who may not even try there was not recognised
    paths = [path for group in ("open", "closed") for prefix in prefixes(group) for path in readings(prefix)]
    for path in paths:
        for headers in (caller, {**caller, "If-None-Match": "*"}, {**caller, "Range": "bytes=0-0"}):
            answer = await server.ask("GET", path, headers)
            if answer.status < 400:
                assert ("private" in answer.headers["Cache-Control"].split(", ")) == known, answer
