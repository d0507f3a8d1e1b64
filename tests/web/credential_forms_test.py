"""How credentials come, what wrong ones are told, and that no log ever has them."""

from __future__ import annotations

import logging
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.builders import build_wheel
from tests.web.callers import CONFIG, DEVELOPER, basic, bearer, deploy_token, job, private_token, token
from tests.web.commands import create_token, revoke_token, soon
from tests.web.server import TEXT, Part
from tests.web.uploads import form, upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.web.callers import Headers
    from tests.web.server import MakeServer, Server

OPEN = "/api/v4/projects/1/packages/pypi/simple/"
CLOSED = "/api/v4/projects/2/packages/pypi/simple/"
AUTHORIZE = "/api/v4/projects/2/packages/pypi/authorize"
WRONG = "no-such-secret"


@pytest.fixture
async def server(make_server: MakeServer) -> Server:
    return await make_server(CONFIG)


async def status(server: Server, path: str, headers: Headers | None = None) -> int:
    return (await server.ask("GET", path, headers)).status


# Forms


async def test_a_query_may_bear_a_personal_token(server: Server) -> None:
    assert await status(server, f"{CLOSED}?private_token=developer") == 200
    assert (await server.ask("POST", f"{AUTHORIZE}?private_token=developer")).status == 200
    assert await status(server, f"{CLOSED}?private_token=deploy") == 401
    assert await status(server, f"{CLOSED}?private_token=") == 401
    assert await status(server, f"{OPEN}?private_token={WRONG}") == 401
    assert await status(server, f"{OPEN}?private_token=") == 200


@pytest.mark.parametrize("name", ["private-token", "Private-Token", "PRIVATE-TOKEN"])
async def test_a_header_is_known_in_any_case(server: Server, name: str) -> None:
    assert await status(server, CLOSED, {name: "developer"}) == 200


@pytest.mark.parametrize("scheme", ["basic", "BASIC", "Basic"])
async def test_a_scheme_is_known_in_any_case(server: Server, scheme: str) -> None:
    value = DEVELOPER["Authorization"].removeprefix("Basic")
    assert await status(server, CLOSED, {"Authorization": f"{scheme}{value}"}) == 200


@pytest.mark.parametrize("secret", ["pässwörd", "with:colon", "with space", "%41", "a+b"])
async def test_any_text_can_be_a_secret(make_server: MakeServer, secret: str) -> None:
    server = await make_server(CONFIG + token(secret, "personal", "guest", "api"))
    for charset in ("utf-8", "latin-1"):
        assert await status(server, CLOSED, basic("zoe", secret, charset)) == 200
    assert await status(server, f"{CLOSED}?private_token={quote(secret)}") == 200


@pytest.mark.parametrize(
    "header",
    [
        b"PRIVATE-TOKEN: \xff\xfe",
        b"Deploy-Token: \xed\xa0\x80",
        b"Authorization: Bearer \x80",
        b"Authorization: Basic \xff",
        b"Authorization: \xff",
    ],
)
async def test_bytes_that_are_no_text_are_wrong_credentials(server: Server, header: bytes) -> None:
    request = f"GET {CLOSED} HTTP/1.1\r\nHost: {server.netloc}\r\nConnection: close\r\n".encode() + header
    assert (await server.exchange(request + b"\r\n\r\n")).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (basic("zoe", WRONG) | private_token("developer"), 200),
        (basic("zoe", "developer") | private_token(WRONG), 401),
        (basic("zoe", "deploy") | private_token(WRONG), 200),
        (basic("zoe", "deploy") | deploy_token(WRONG), 200),
        (basic("zoe", WRONG) | deploy_token("deploy"), 401),
        (bearer("developer") | deploy_token("deploy"), 200),
        (bearer("developer") | private_token(WRONG), 401),
        (bearer(WRONG) | private_token("developer"), 200),
        (job("job") | private_token(WRONG), 401),
    ],
)
async def test_of_several_credentials_one_counts_in_gitlabs_order(
    server: Server, headers: Headers, expected: int
) -> None:
    assert await status(server, CLOSED, headers) == expected


async def test_the_empty_secret_is_nobodys_even_if_a_token_has_its_digest(make_server: MakeServer) -> None:
    server = await make_server(CONFIG + token("", "personal", "owner", "api").replace('name = ""', 'name = "empty"'))
    for headers in ({}, basic("zoe", ""), private_token(""), bearer(""), deploy_token(WRONG)):
        assert await status(server, CLOSED, headers) == 401


# What is told


@pytest.mark.parametrize("path", [OPEN, CLOSED])
@pytest.mark.parametrize(
    "headers", [bearer("expired"), private_token("expired"), job("expired"), basic("zoe", "expired")]
)
async def test_an_expired_personal_token_is_told_so(server: Server, path: str, headers: Headers) -> None:
    answer = await server.ask("GET", path, headers)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="GitLab Packages Registry"'
    assert answer.told == {
        "error": "invalid_token",
        "error_description": "Token is expired. You can either do re-authorization or token refresh.",
    }


@pytest.mark.parametrize(
    ("kind", "expected", "told"),
    [
        ("personal", 401, "Token was revoked. You have to re-authorize from the user."),
        ("deploy", 200, None),
        ("job", 200, None),
    ],
)
async def test_a_revoked_personal_token_is_told_so_and_others_are_as_good_as_unknown(
    server: Server, kind: str, expected: int, told: str | None
) -> None:
    secret = await create_token(server, "ci", "--kind", kind, "--scope", "api", "--access", "closed=guest")
    username = "gitlab-ci-token" if kind == "job" else "zoe"
    assert await status(server, CLOSED, basic(username, secret)) == 200
    await revoke_token(server, "ci")

    async def is_refused() -> bool:
        return await status(server, CLOSED, basic(username, secret)) == 401

    await soon(is_refused)
    answer = await server.ask("GET", OPEN, basic("zoe", secret))
    assert answer.status == expected
    if told:
        assert answer.told == {"error": "invalid_token", "error_description": told}


async def test_a_token_is_good_until_it_expires(make_server: MakeServer) -> None:
    future = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    server = await make_server(CONFIG + token("soon", "personal", "guest", "api", expires=future))
    assert await status(server, CLOSED, bearer("soon")) == 200


async def test_a_browser_gets_a_page_in_place_of_json(server: Server) -> None:
    answer = await server.ask("GET", CLOSED, {"Accept": TEXT, **bearer("expired")})
    assert (answer.status, answer.headers["Content-Type"]) == (401, "text/html; charset=utf-8")
    assert b"Token is expired." in answer.body


# Logs

FORMS: dict[str, Callable[[str], Headers]] = {
    "Basic": lambda secret: basic("zoe", secret),
    "Basic, job": job,
    "Basic, as user name": lambda secret: basic(secret, "x"),
    "Bearer": bearer,
    "PRIVATE-TOKEN": private_token,
    "Deploy-Token": deploy_token,
    "JOB-TOKEN": lambda secret: {"JOB-TOKEN": secret},
    "Cookie": lambda secret: {"Cookie": f"_gitlab_session={secret}"},
    "Referer": lambda secret: {"Referer": f"http://127.0.0.1/?private_token={secret}"},
}


def check_absent(secret: str, caplog: pytest.LogCaptureFixture) -> None:
    formatter = logging.Formatter("%(message)s")
    logged = "".join(formatter.format(record) + repr(record.args) for record in caplog.records)
    for spelled in (secret, quote(secret), b64encode(secret.encode()).decode().rstrip("=")):
        assert spelled not in logged


@pytest.mark.standard(98)
@pytest.mark.parametrize("secret", ["developer-s3cret", "wrong-s3cret"])
@pytest.mark.parametrize("access", [True, False])
async def test_no_log_has_a_secret_however_it_came(
    make_server: MakeServer, caplog: pytest.LogCaptureFixture, secret: str, *, access: bool
) -> None:
    known = token("developer-s3cret", "personal", "developer", "api").replace(
        'name = "developer-s3cret"', 'name = "d"'
    )
    server = await make_server(CONFIG + known + f"[log]\naccess = {str(access).lower()}\n")
    caplog.set_level(logging.DEBUG)
    built = build_wheel("demo", "1.0")
    for headers_of in FORMS.values():
        for path in (OPEN, CLOSED, f"{CLOSED}demo/", f"{CLOSED}Demo", "/nowhere", "/-/health"):
            await server.ask("GET", path, headers_of(secret))
        await server.ask("POST", AUTHORIZE, headers_of(secret))
        await upload(server, built, to="/api/v4/projects/2/packages/pypi", **headers_of(secret))
    for path in (OPEN, CLOSED, f"{CLOSED}demo", "/simple", "/nowhere"):
        await server.get(f"{path}?private_token={secret}")
    fields = [Part("private_token", secret.encode()), Part("password", secret.encode()), *form(built)[3:]]
    await server.post("/api/v4/projects/2/packages/pypi", fields, **DEVELOPER)
    assert caplog.records
    check_absent(secret, caplog)


@pytest.mark.parametrize(
    "request_text",
    [
        "GET /simple/?private_token=s3cret\x01 HTTP/1.1\r\nHost: x",
        "GET /simple/?private_token=s3cret y HTTP/1.1\r\nHost: x",
        "G@T /simple/?private_token=s3cret HTTP/1.1\r\nHost: x",
        "GET /simple/ HTTP/1.1\r\nHost: x\r\nPRIVATE-TOKEN: s3cret\0",
        "GET /simple/ HTTP/1.1\r\nHost: x\r\nPRIVATE-TOKEN : s3cret",
        "GET /simple/ HTTP/1.1\r\nHost: x\r\nContent-Length: s3cret",
        "GET /simple/?private_token=" + "s3cret" * 2000 + " HTTP/1.1\r\nHost: x",
        "GET /simple/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + "s3cret" * 2000,
        "GET /simple/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\ns3cret",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: multipart/form-data\r\n\r\ns3cret",
    ],
)
async def test_no_log_quotes_what_is_no_http(
    server: Server, caplog: pytest.LogCaptureFixture, request_text: str
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await server.exchange(f"{request_text}\r\n\r\n".encode())
    assert answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 ")), answer
    check_absent("s3cret", caplog)
