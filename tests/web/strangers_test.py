"""A server that strangers can reach says what they may do, or knows a token: when it starts and after each reload."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.compose import compose
from proxy.config import load_config
from proxy.core.errors import InvalidConfig
from proxy.web.site import CURRENT
from tests.web.callers import token
from tests.web.commands import create_token, revoke_token

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.config import Config
    from tests.web.server import MakeServer

ELSEWHERE = '[server]\nhost = "0.0.0.0"\n'
TOKEN = token("ci", "personal", None, "api")


def config(tmp_path: Path, toml: str) -> Config:
    file = tmp_path / "config.toml"
    file.write_text(toml)
    return load_config(file, {}, server={"data_dir": str(tmp_path / "data")})


@pytest.mark.parametrize("more", ['[access]\nanonymous = "none"\n', TOKEN])
async def test_it_starts_where_the_config_says_enough(make_server: MakeServer, more: str) -> None:
    server = await make_server(ELSEWHERE + more)
    assert (await server.get("/-/health")).status == 200


async def test_it_starts_while_the_data_directory_knows_a_token(make_server: MakeServer) -> None:
    with pytest.raises(InvalidConfig, match=r"access\.anonymous: must be set"):
        await make_server(ELSEWHERE)
    server = await make_server()
    await create_token(server, "ci", "--scope", "api", "--access", "default=guest")
    await server.close()
    server = await make_server(ELSEWHERE)
    assert (await server.ask("POST", "/api/v4/projects/1/packages/pypi/authorize")).status == 401
    await revoke_token(server, "ci")
    await server.close()
    with pytest.raises(InvalidConfig, match=r"bound to 0\.0\.0\.0"):
        await make_server(ELSEWHERE)


async def test_a_reload_that_leaves_strangers_unspoken_of_changes_nothing(tmp_path: Path) -> None:
    async with compose(config(tmp_path, ELSEWHERE + TOKEN)) as server:
        before = server.app[CURRENT].site
        with pytest.raises(InvalidConfig):
            await server.configure(config(tmp_path, ELSEWHERE))
        assert server.app[CURRENT].site is before


async def test_a_reload_does_not_move_the_socket_to_this_machine(tmp_path: Path) -> None:
    async with compose(config(tmp_path, ELSEWHERE + TOKEN)) as server:
        with pytest.raises(InvalidConfig):
            await server.configure(config(tmp_path, ""))
        await server.configure(config(tmp_path, TOKEN))
        assert not server.app[CURRENT].site.access.open_to_this_machine


async def test_a_reload_forgets_neither_tokens_nor_guesses(tmp_path: Path) -> None:
    async with compose(config(tmp_path, TOKEN)) as server:
        before = server.app[CURRENT].site
        await server.configure(config(tmp_path, ""))
        after = server.app[CURRENT].site
        assert after is not before
        assert after.guesses is before.guesses
        assert after.tokens.find("ci") is None
        assert after.tokens.ever_known
