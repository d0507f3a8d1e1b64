"""Several groups on one server: by number and by path, one that forwards and one that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.e2e.clients import PIP
from tests.e2e.harness import forwards_to
from tests.e2e.wire import ask, list_files, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.clients import Machine
    from tests.e2e.harness import Serve, Server
    from tests.fake_index import ThreadedFakeIndex

GROUPS = """
[groups."acme"]
id = 10
forwarding = false
[groups."acme/ml"]
id = 11
[groups."open"]
id = 20
[projects."acme/tools"]
id = 101
[projects."acme/ml/models"]
id = 102
[projects."open/tools"]
id = 20
"""

OPEN = "api/v4/groups/open/-/packages/pypi"
CLOSED = [
    "api/v4/groups/10/-/packages/pypi",
    "api/v4/groups/acme/-/packages/pypi",
    "api/v4/groups/acme%2Fml/-/packages/pypi",
    "api/v4/projects/101/packages/pypi",
    "api/v4/projects/acme%2Ftools/packages/pypi",
]
"""Every index under the group that does not forward: its own, a subgroup's that says nothing, a project's."""


@pytest.fixture
def server(serve: Serve, upstream: ThreadedFakeIndex) -> Server:
    return serve(forwards_to(upstream) + GROUPS)


@pytest.mark.parametrize("project", ["102", "acme%2Fml%2Fmodels"])
def test_a_project_takes_uploads_by_number_and_by_path(server: Server, project: str) -> None:
    built = build_wheel("acme-lib", "1.0")
    assert upload(f"{server.url}api/v4/projects/{project}/packages/pypi", "acme-lib", "1.0", built).status == 201
    for index in ("projects/102", "projects/acme%2Fml%2Fmodels"):
        (file,) = list_files(f"{server.url}api/v4/{index}/packages/pypi/simple/acme-lib/")
        assert file.sha256 == built.sha256


def test_a_group_shows_what_its_projects_and_its_descendants_hold(server: Server) -> None:
    built = build_wheel("acme-lib", "1.0")
    upload(f"{server.url}api/v4/projects/102/packages/pypi", "acme-lib", "1.0", built)
    for index in ("groups/10", "groups/acme", "groups/11", "groups/acme%2Fml"):
        (file,) = list_files(f"{server.url}api/v4/{index}/-/packages/pypi/simple/acme-lib/")
        assert ask("GET", file.url).body == built.data


def test_a_project_does_not_show_what_another_one_holds(server: Server, upstream: ThreadedFakeIndex) -> None:
    upload(f"{server.url}api/v4/projects/102/packages/pypi", "acme-lib", "1.0", build_wheel("acme-lib", "1.0"))
    for index in ("projects/101", "projects/20", "groups/20/-"):
        assert ask("GET", f"{server.url}api/v4/{index}/packages/pypi/simple/acme-lib/").status == 404
    # Of these only `open` forwards; it asks once and remembers the answer.
    assert [request.path for request in upstream.requests] == ["/simple/acme-lib/"]


def test_group_numbers_and_project_numbers_are_two_spaces(server: Server) -> None:
    built = build_wheel("demo", "1.0")
    upload(f"{server.url}api/v4/projects/20/packages/pypi", "demo", "1.0", built)
    assert list_files(f"{server.url}api/v4/projects/20/packages/pypi/simple/demo/")
    assert list_files(f"{server.url}api/v4/groups/20/-/packages/pypi/simple/demo/")
    for unknown in ("projects/10", "projects/acme", "groups/101/-", "groups/acme%2Ftools/-"):
        assert ask("GET", f"{server.url}api/v4/{unknown}/packages/pypi/simple/demo/").status == 404


@pytest.mark.parametrize("index", CLOSED)
def test_a_group_that_does_not_forward_asks_nobody(server: Server, upstream: ThreadedFakeIndex, index: str) -> None:
    upstream.add_wheel("six", "1.16.0")
    reply = ask("GET", f"{server.url}{index}/simple/six/")
    assert (reply.status, reply.message) == (404, "404 Package Not Found")
    assert upstream.requests == []


@pytest.mark.parametrize("index", CLOSED)
def test_a_file_that_another_group_has_cached_opens_nothing(
    server: Server, upstream: ThreadedFakeIndex, index: str
) -> None:
    upstream.add_wheel("six", "1.16.0")
    (file,) = list_files(f"{server.url}{OPEN}/simple/six/")
    assert ask("GET", file.url).status == 200
    assert ask("GET", f"{file.url}.metadata").status == 200
    upstream.clear_requests()
    elsewhere = file.url.replace(OPEN, index)
    assert elsewhere != file.url
    for url in (elsewhere, f"{elsewhere}.metadata"):
        assert ask("GET", url).status == 404
        assert ask("HEAD", url).status == 404
        assert ask("GET", url, headers={"Range": "bytes=0-9"}).status == 404
    assert upstream.requests == []


def test_pip_and_uv_install_from_an_index_that_forwards_nothing(
    server: Server, machine: Machine, upstream: ThreadedFakeIndex, tmp_path: Path
) -> None:
    upstream.add_wheel("six", "1.16.0")
    upload(f"{server.url}api/v4/projects/101/packages/pypi", "acme-lib", "1.0", build_wheel("acme-lib", "1.0"))
    index = f"{server.url}api/v4/projects/acme%2Ftools/packages/pypi/simple/"
    assert machine.pip_install(index, tmp_path / "pip", "acme-lib") == {"acme-lib": "1.0"}
    assert machine.uv_install(index, tmp_path / "uv", "acme-lib") == {"acme-lib": "1.0"}
    refused = machine.run([*PIP, "download", "--index-url", index, "-d", str(tmp_path / "none"), "six"])
    assert refused.returncode != 0
    assert "No matching distribution found for six" in refused.stderr
    assert upstream.requests == []


def test_the_short_routes_say_what_they_lack(server: Server) -> None:
    for path, key in (("simple/", "default_group"), ("simple/six/", "default_group")):
        reply = ask("GET", server.url + path)
        assert reply.status == 404
        assert key in reply.message
    reply = upload(f"{server.url}legacy/", "demo", "1.0", build_wheel("demo", "1.0"))
    assert reply.status == 404
    assert "default_project" in reply.message


def test_the_short_routes_are_those_of_the_named_group_and_project(
    serve: Serve, upstream: ThreadedFakeIndex, machine: Machine, tmp_path: Path
) -> None:
    short = '[server]\ndefault_group = "acme"\ndefault_project = "acme/ml/models"\n'
    server = serve(short + forwards_to(upstream) + GROUPS)
    assert upload(f"{server.url}legacy/", "acme-lib", "1.0", build_wheel("acme-lib", "1.0")).status == 201
    assert list_files(f"{server.url}api/v4/projects/102/packages/pypi/simple/acme-lib/")
    assert machine.uv_install(f"{server.url}simple/", tmp_path / "target", "acme-lib") == {"acme-lib": "1.0"}
