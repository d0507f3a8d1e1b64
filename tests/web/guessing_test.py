"""Guessing is slowed down for the address that guesses, and for nobody who knows a secret or tries none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.web.callers import CONFIG, DEVELOPER, NOBODY, basic, bearer, deploy_token, job, private_token
from tests.web.commands import create_token

if TYPE_CHECKING:
    from tests.web.callers import Headers
    from tests.web.server import Answer, MakeServer, Server

OPEN = "/api/v4/projects/1/packages/pypi/simple/"
CLOSED = "/api/v4/projects/2/packages/pypi/simple/"
ALLOWED = 50
PROXIED = '[server]\ntrusted_proxies = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"]\n'


@pytest.fixture
async def server(make_server: MakeServer) -> Server:
    return await make_server(CONFIG)


async def guess(server: Server, path: str = CLOSED, headers: Headers | None = None, via: str = "") -> Answer:
    """A request with wrong credentials, or these; `via` is what proxies say of where it came from."""
    forwarded = {"X-Forwarded-For": via} if via else {}
    return await server.ask("GET", path, (headers or basic("zoe", "wrong")) | forwarded)


async def guess_often(server: Server, via: str = "") -> None:
    """As many wrong guesses as are answered."""
    for number in range(ALLOWED):
        assert (await guess(server, headers=basic("zoe", f"wrong-{number}"), via=via)).status == 401


async def test_the_fifty_first_wrong_guess_must_wait(server: Server) -> None:
    await guess_often(server)
    answer = await guess(server)
    assert (answer.status, answer.reason[:17]) == (429, "Too Many Requests")
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert answer.message.startswith("429 Too Many Requests - ")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "headers", [basic("x", "no"), job("no"), bearer("no"), private_token("no"), deploy_token("no")]
)
@pytest.mark.parametrize("path", [OPEN, CLOSED])
async def test_it_waits_in_every_form_and_at_every_route(server: Server, path: str, headers: Headers) -> None:
    await guess_often(server)
    assert (await guess(server, path, headers)).status == 429
    assert (await server.ask("POST", "/api/v4/projects/1/packages/pypi/authorize", headers)).status == 429


@pytest.mark.parametrize("headers", [job("no"), bearer("no"), private_token("no"), deploy_token("no")])
async def test_guesses_count_in_every_form(server: Server, headers: Headers) -> None:
    for _ in range(ALLOWED):
        assert (await guess(server, headers=headers)).status == 401
    assert (await guess(server, headers=headers)).status == 429


async def test_who_knows_a_secret_or_tries_none_never_waits(server: Server) -> None:
    await guess_often(server)
    assert (await guess(server)).status == 429
    for known in (DEVELOPER, private_token("developer"), bearer("job"), deploy_token("deploy"), job("job")):
        assert (await guess(server, headers=known)).status == 200
    assert (await server.ask("GET", OPEN, NOBODY)).status == 200
    assert (await server.ask("GET", CLOSED, NOBODY)).status == 401
    for ended in (bearer("expired"), job("job-expired"), job("job", "foo")):
        assert (await guess(server, headers=ended)).status == 401
    new = await create_token(server, "new", "--scope", "api", "--access", "closed=guest")
    assert (await guess(server, headers=bearer(new))).status == 200


async def test_what_is_not_a_wrong_guess_is_not_counted(server: Server) -> None:
    for _ in range(ALLOWED + 1):
        assert (await guess(server, OPEN)).status == 200
        assert (await server.ask("GET", CLOSED, NOBODY)).status == 401
        assert (await guess(server, headers=bearer("expired"))).status == 401
        assert (await guess(server, headers=job("job-expired"))).status == 401
        assert (await guess(server, "/api/v4/projects/99/packages/pypi/simple/")).status == 404
    assert (await guess(server)).status == 401


async def test_an_untrusted_peer_cannot_put_its_guesses_on_others(server: Server) -> None:
    for number in range(ALLOWED):
        assert (await guess(server, via=f"203.0.113.{number}")).status == 401
    assert (await guess(server, via="203.0.113.200")).status == 429


@pytest.mark.parametrize(
    ("guesser", "same", "other"),
    [
        ("203.0.113.1", "203.0.113.1", "203.0.113.2"),
        ("203.0.113.1", "198.51.100.7, 203.0.113.1", "203.0.113.1, 198.51.100.7"),
        ("203.0.113.1", "203.0.113.1, 10.1.2.3", "203.0.113.2, 10.1.2.3"),
        ("203.0.113.1:443", "203.0.113.1:8080", "[2001:db8::1]:443"),
        ("2001:db8::1", "[2001:DB8:0::1]:443, fd00::1", "2001:db8::2"),
        ("::ffff:203.0.113.1", "203.0.113.1", "203.0.113.2"),
    ],
)
async def test_behind_a_trusted_proxy_it_is_the_address_that_the_proxy_saw(
    make_server: MakeServer, guesser: str, same: str, other: str
) -> None:
    server = await make_server(PROXIED + CONFIG)
    await guess_often(server, via=guesser)
    assert (await guess(server, via=same)).status == 429
    assert (await guess(server, via=other)).status == 401
    assert (await guess(server)).status == 401
