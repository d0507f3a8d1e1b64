"""Who may publish without a token: programs on this machine, and never a web page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.web.server import JSON
from tests.web.uploads import publish, upload

if TYPE_CHECKING:
    from tests.web.server import MakeServer, Server

WHEEL = build_wheel("demo-pkg", "1.0")
PROJECT = "/api/v4/projects/1/packages/pypi"
OPEN = '[access]\nanonymous = "publish"\n'


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example:8181"},
        {"Host": "192.168.1.9:8181"},
        {"Host": "0.0.0.0:8181"},
        {"Host": "[::ffff:192.168.1.9]"},
        {"Host": ""},
    ],
    ids=str,
)
async def test_a_web_page_cannot_publish(server: Server, headers: dict[str, str]) -> None:
    for route in ("/", "/legacy/", PROJECT, f"{PROJECT}/authorize"):
        assert (await upload(server, WHEEL, to=route, **headers)).status == 403
    assert (await server.get("/simple/", Accept=JSON)).projects == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8181", "localhost", "LOCALHOST:1", "127.3.2.1", "[::1]:8181", "pypi.localhost:80", "localhost."],
)
async def test_a_program_on_this_machine_can_publish(server: Server, host: str) -> None:
    await publish(server, WHEEL, Host=host)


async def test_what_a_browser_sends_of_its_own_accord_is_no_request_of_a_page(server: Server) -> None:
    await publish(server, WHEEL, Sec_Fetch_Site="none")


@pytest.mark.parametrize("host", ["pypi.corp", "pypi.corp:80", "localhost"])
async def test_explicit_publishing_is_also_under_the_external_name(make_server: MakeServer, host: str) -> None:
    server = await make_server(f'{OPEN}[server]\nexternal_url = "http://pypi.corp"\n')
    await publish(server, WHEEL, Host=host, X_Forwarded_For="10.0.0.1")
    assert (await upload(server, WHEEL, Host="evil.example")).status == 403
