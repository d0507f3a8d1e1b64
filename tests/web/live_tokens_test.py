"""Tokens made and revoked by command while the server runs, and what the first one ends."""

from __future__ import annotations

import asyncio
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import StorageTrouble
from proxy.sqlite.store import SqliteStore
from tests.builders import build_wheel
from tests.web.callers import CONFIG, DEVELOPER, GROUPS, basic, bearer, token
from tests.web.commands import command, create_token, revoke_token, soon
from tests.web.uploads import upload

if TYPE_CHECKING:
    from tests.web.server import MakeServer, Server

CLOSED = "/api/v4/projects/2/packages/pypi/simple/"
READS_CLOSED = ("--scope", "read_api", "--access", "closed=guest")
READS_DEFAULT = ("--scope", "read_api", "--access", "default=guest")
WHEELS = [build_wheel("demo", f"{number}.0") for number in range(8)]


async def status(server: Server, secret: str) -> int:
    return (await server.ask("GET", CLOSED, bearer(secret))).status


async def publishes(server: Server, **headers: str) -> int:
    """The answer to an anonymous caller who asks whether it may publish."""
    return (await server.ask("POST", "/api/v4/projects/1/packages/pypi/authorize", headers)).status


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the store was asked for tokens."""
    asked: list[float] = []
    count, list_ = SqliteStore.count_token_changes, SqliteStore.list_tokens

    async def count_token_changes(store: SqliteStore) -> int:
        asked.append(time.monotonic())
        return await count(store)

    async def list_tokens(store: SqliteStore) -> object:
        asked.append(time.monotonic())
        return await list_(store)

    monkeypatch.setattr(SqliteStore, "count_token_changes", count_token_changes)
    monkeypatch.setattr(SqliteStore, "list_tokens", list_tokens)
    return asked


async def test_a_new_token_is_good_for_the_very_next_request(make_server: MakeServer) -> None:
    server = await make_server(GROUPS)
    for name in ("one", "two"):
        assert await status(server, await create_token(server, name, *READS_CLOSED)) == 200


async def test_a_revoked_token_is_refused_soon_and_its_name_can_be_given_again(make_server: MakeServer) -> None:
    server = await make_server(GROUPS)
    secret = await create_token(server, "ci", *READS_CLOSED)
    assert await status(server, secret) == 200
    await revoke_token(server, "ci")

    async def is_refused() -> bool:
        return await status(server, secret) == 401

    await soon(is_refused)
    again = await create_token(server, "ci", *READS_CLOSED)
    assert (again != secret, await status(server, again), await status(server, secret)) == (True, 200, 401)


async def test_a_token_that_was_made_before_the_first_start_is_known(make_server: MakeServer) -> None:
    server = await make_server(GROUPS)
    await server.close()
    shutil.rmtree(server.data_dir)
    secret = await create_token(server, "early", *READS_CLOSED)
    server = await make_server(GROUPS)
    assert await status(server, secret) == 200


async def test_tokens_outlive_a_restart_and_so_does_their_end(make_server: MakeServer) -> None:
    server = await make_server(GROUPS)
    kept = await create_token(server, "kept", *READS_CLOSED)
    ended = await create_token(server, "ended", *READS_CLOSED)
    await revoke_token(server, "ended")
    await server.close()
    server = await make_server(GROUPS)
    assert (await status(server, kept), await status(server, ended)) == (200, 401)


async def test_both_kinds_of_tokens_are_good_by_the_hundred(make_server: MakeServer) -> None:
    many = "".join(token(f"number-{number}", "personal", "guest", "api") for number in range(200))
    server = await make_server(GROUPS + many)
    made = [await create_token(server, f"made-{number}", *READS_CLOSED) for number in range(20)]
    for secret in (*made, *(f"number-{number}" for number in range(0, 200, 20))):
        assert await status(server, secret) == 200


async def test_no_request_of_a_known_caller_asks_the_store(make_server: MakeServer, lookups: list[float]) -> None:
    server = await make_server(CONFIG)
    secret = await create_token(server, "ci", *READS_CLOSED)
    await status(server, secret)
    del lookups[:]
    began = time.monotonic()
    for _ in range(50):
        assert await status(server, secret) == 200
        assert (await server.ask("GET", CLOSED, DEVELOPER)).status == 200
    assert len(lookups) <= time.monotonic() - began + 1


async def test_readers_without_credentials_ask_the_store_nothing(
    make_server: MakeServer, lookups: list[float]
) -> None:
    server = await make_server(GROUPS)
    del lookups[:]
    for _ in range(5):
        assert (await server.get("/api/v4/projects/1/packages/pypi/simple/")).status == 200
        assert (await server.get("/-/health")).status == 200
    assert lookups == []


async def test_many_unknown_secrets_at_once_share_their_look(make_server: MakeServer, lookups: list[float]) -> None:
    server = await make_server(GROUPS)
    del lookups[:]
    public = "/api/v4/projects/1/packages/pypi/simple/"
    asked = (server.ask("GET", public, basic("zoe", f"wrong-{number}")) for number in range(100))
    assert {answer.status for answer in await asyncio.gather(*asked)} == {200}
    assert len(lookups) < 60


async def test_what_is_known_stands_while_the_database_is_in_trouble(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = await make_server(GROUPS)
    secret = await create_token(server, "ci", *READS_CLOSED)
    assert await status(server, secret) == 200

    async def fail(_: SqliteStore) -> int:
        raise StorageTrouble("the database is locked by another process; try again")

    monkeypatch.setattr(SqliteStore, "count_token_changes", fail)
    assert await status(server, "wrong") == 401
    assert await status(server, "wrong") == 401
    assert await status(server, secret) == 200
    assert sum("tokens made or revoked" in record.message for record in caplog.records) == 1


# Who may publish without a token


async def test_the_first_token_ends_publishing_without_one_for_ever(make_server: MakeServer) -> None:
    server = await make_server()
    assert (await upload(server, WHEELS[0])).status == 201
    await create_token(server, "reader", *READS_DEFAULT)

    async def is_closed() -> bool:
        return await publishes(server) == 401

    await soon(is_closed)
    assert (await upload(server, WHEELS[1])).status == 401
    assert (await server.get("/simple/demo/")).status == 200
    await revoke_token(server, "reader")
    assert (await upload(server, WHEELS[1])).status == 401
    await server.close()
    server = await make_server()
    assert (await upload(server, WHEELS[1])).status == 401


async def test_a_token_of_the_config_ends_it_too_also_when_it_is_gone(make_server: MakeServer) -> None:
    server = await make_server(token("ci", "personal", None, "api"))
    assert await publishes(server) == 401
    await server.close()
    server = await make_server()
    assert await publishes(server) == 401


async def test_the_config_can_open_it_whatever_tokens_there_are(make_server: MakeServer) -> None:
    server = await make_server('[access]\nanonymous = "publish"\n')
    await create_token(server, "reader", *READS_DEFAULT)
    assert await publishes(server) == 200


@pytest.mark.parametrize(
    "header", ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "x-forwarded-proto", "X-Forwarded-Port"]
)
async def test_what_was_passed_on_is_not_from_this_machine(make_server: MakeServer, header: str) -> None:
    server = await make_server()
    assert (await publishes(server), await publishes(server, **{header: "x"})) == (200, 401)


@pytest.mark.parametrize("key", ['external_url = "http://pypi.corp"', 'trusted_proxies = ["10.0.0.1"]'])
async def test_nor_is_anything_behind_a_proxy_that_the_config_names(make_server: MakeServer, key: str) -> None:
    server = await make_server(f"[server]\n{key}\n")
    assert await publishes(server) == 401


async def test_a_command_beside_the_server_is_told_what_is_wrong(make_server: MakeServer) -> None:
    server = await make_server(CONFIG)
    done = await command(server, "token", "create", "--name", "developer", *READS_CLOSED)
    assert (done.exit_code, "the config has a token named developer" in done.stderr) == (1, True)
    done = await command(server, "token", "revoke", "developer")
    assert (done.exit_code, "remove it there" in done.stderr) == (1, True)
