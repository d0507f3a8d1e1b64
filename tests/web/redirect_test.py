"""Forwarding by redirect, GitLab's way: the client is sent to the upstream, and only for what is not local."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.web.server import JSON, forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.web.server import MakeServer, Server

GROUPS = """
[forwarding]
mode = "redirect"
[groups."default"]
id = 1
reserved = ["acme-*"]
[groups."closed"]
id = 2
forwarding = false
[projects."default/packages"]
id = 1
[projects."closed/packages"]
id = 2
"""


@pytest.fixture
async def server(make_server: MakeServer, index: FakeIndex) -> Server:
    index.add_wheel("demo-pkg", "1.0")
    return await make_server(forwards_to(index) + GROUPS)


@pytest.mark.parametrize("prefix", ["", "/api/v4/groups/1/-/packages/pypi", "/api/v4/projects/1/packages/pypi"])
@pytest.mark.gitlab(13)
async def test_a_name_that_is_not_local_is_a_redirect_to_the_upstream(
    server: Server, index: FakeIndex, prefix: str
) -> None:
    answer = await server.get(f"{prefix}/simple/demo-pkg/", Accept=JSON)
    assert (answer.status, answer.headers["Location"]) == (302, f"{index.simple_url}demo-pkg/")
    assert "max-age" not in answer.headers.get("Cache-Control", "")
    assert index.requests == []


@pytest.mark.gitlab(13)
async def test_a_local_name_is_served_here(server: Server, index: FakeIndex) -> None:
    own = build_wheel("demo-pkg", "0.1")
    await publish(server, own)
    assert (await server.page("/simple/demo-pkg/")).filenames == [own.filename]
    assert (await server.get(f"/files/{own.sha256}/{own.filename}")).body == own.data
    assert index.requests == []


@pytest.mark.parametrize(
    "path", ["/simple/acme-tool/", "/api/v4/groups/2/-/packages/pypi/simple/demo-pkg/", f"/files/{'0' * 64}/a-1.zip"]
)
async def test_what_is_not_forwarded_is_no_redirect(server: Server, index: FakeIndex, path: str) -> None:
    answer = await server.get(path, Accept=JSON)
    assert (answer.status, "Location" in answer.headers) == (404, False)
    assert index.requests == []


async def test_other_spellings_come_to_the_normalized_name_first(server: Server) -> None:
    answer = await server.get("/simple/Demo.Pkg/")
    assert (answer.status, answer.headers["Location"]) == (301, "../demo-pkg/")
