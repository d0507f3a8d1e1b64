"""What every TokenStore promises."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from proxy.core.access import Kind, Principal, Role, Scope
from proxy.core.digests import sha256_of
from proxy.core.errors import NotFound, StorageTrouble, TokenNameTaken
from proxy.core.names import GroupPath
from proxy.core.tokens import Token
from proxy.sqlite.store import open_store
from tests.contracts.samples import NOW
from tests.fakes.metadata_store import MemoryMetadataStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from pathlib import Path

    from proxy.ports import TokenStore

LATER = NOW + timedelta(hours=1)


def token(name: str = "ci", word: str = "first") -> Token:
    return Token(Principal(Kind.PERSONAL, name), sha256_of(word.encode()))


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TokenStore]:
    if request.param == "memory":
        yield MemoryMetadataStore()
        return
    async with open_store(tmp_path / "store.db") as opened:
        yield opened


async def test_a_new_store_has_no_token_and_never_had_one(store: TokenStore) -> None:
    assert [*await store.list_tokens()] == []
    assert not await store.ever_had_token()


@pytest.mark.parametrize("kind", [Kind.PERSONAL, Kind.DEPLOY, Kind.JOB])
@pytest.mark.parametrize("expires_at", [None, LATER])
async def test_a_token_comes_back_as_it_was_added(store: TokenStore, kind: Kind, expires_at: datetime | None) -> None:
    principal = Principal(
        kind,
        "ci 'of\" Zoë",
        "zoë",
        frozenset({Scope.API, Scope.WRITE_PACKAGE_REGISTRY}),
        {GroupPath("acme"): Role.DEVELOPER, GroupPath("acme/tools"): Role.OWNER},
    )
    added = Token(principal, sha256_of(b"secret"), expires_at=expires_at)
    await store.add_token(added, now=NOW)
    assert [*await store.list_tokens()] == [replace(added, created_at=NOW)]
    assert await store.ever_had_token()


async def test_a_token_may_have_no_scopes_and_no_access(store: TokenStore) -> None:
    await store.add_token(token(), now=NOW)
    (listed,) = await store.list_tokens()
    assert (listed.principal.scopes, listed.principal.grants) == (frozenset(), {})


async def test_tokens_are_listed_as_they_were_added(store: TokenStore) -> None:
    for name in ("b", "c", "a"):
        await store.add_token(token(name, name), now=NOW)
    assert [each.principal.name for each in await store.list_tokens()] == ["b", "c", "a"]


async def test_a_name_is_given_once(store: TokenStore) -> None:
    await store.add_token(token(word="first"), now=NOW)
    with pytest.raises(TokenNameTaken, match="ci"):
        await store.add_token(token(word="second"), now=LATER)
    assert [each.sha256 for each in await store.list_tokens()] == [sha256_of(b"first")]


async def test_of_many_that_want_a_name_at_once_one_gets_it(store: TokenStore) -> None:
    added = await asyncio.gather(
        *(store.add_token(token(word=str(number)), now=NOW) for number in range(10)), return_exceptions=True
    )
    assert sum(isinstance(each, TokenNameTaken) for each in added) == 9
    assert len(await store.list_tokens()) == 1


async def test_a_revoked_token_stays_and_says_since_when(store: TokenStore) -> None:
    await store.add_token(token(), now=NOW)
    await store.add_token(token("other", "other"), now=NOW)
    await store.revoke_token("ci", now=LATER)
    assert [each.revoked_at for each in await store.list_tokens()] == [LATER, None]


@pytest.mark.parametrize("name", ["nobody", "CI", "ci "])
async def test_revoking_what_is_not_there_is_told(store: TokenStore, name: str) -> None:
    await store.add_token(token(), now=NOW)
    with pytest.raises(NotFound, match=name):
        await store.revoke_token(name, now=LATER)
    assert [each.revoked_at for each in await store.list_tokens()] == [None]


async def test_a_token_is_revoked_once(store: TokenStore) -> None:
    await store.add_token(token(), now=NOW)
    await store.revoke_token("ci", now=NOW)
    with pytest.raises(NotFound):
        await store.revoke_token("ci", now=LATER)
    assert [each.revoked_at for each in await store.list_tokens()] == [NOW]


async def test_a_revoked_name_can_be_given_again_and_the_new_one_revoked(store: TokenStore) -> None:
    await store.add_token(token(word="first"), now=NOW)
    await store.revoke_token("ci", now=NOW)
    await store.add_token(token(word="second"), now=LATER)
    assert [each.revoked_at for each in await store.list_tokens()] == [NOW, None]
    await store.revoke_token("ci", now=LATER)
    assert [each.revoked_at for each in await store.list_tokens()] == [NOW, LATER]


async def test_each_change_is_counted_and_nothing_else(store: TokenStore) -> None:
    counts = [await store.count_token_changes()]
    await store.add_token(token(word="first"), now=NOW)
    counts.append(await store.count_token_changes())
    await store.revoke_token("ci", now=NOW)
    counts.append(await store.count_token_changes())
    await store.add_token(token(word="second"), now=NOW)
    counts.append(await store.count_token_changes())
    assert counts == sorted(set(counts))
    with pytest.raises(TokenNameTaken):
        await store.add_token(token(word="third"), now=NOW)
    await store.list_tokens()
    assert await store.count_token_changes() == counts[-1]


async def test_that_there_was_a_token_is_remembered_when_it_is_revoked(store: TokenStore) -> None:
    await store.add_token(token(), now=NOW)
    await store.revoke_token("ci", now=NOW)
    assert await store.ever_had_token()


async def test_a_token_elsewhere_can_be_noted_and_again(store: TokenStore) -> None:
    await store.note_token()
    await store.note_token()
    assert await store.ever_had_token()
    assert [*await store.list_tokens()] == []


async def test_hundreds_of_tokens(store: TokenStore) -> None:
    for number in range(300):
        await store.add_token(token(f"ci-{number}", str(number)), now=NOW)
    assert len(await store.list_tokens()) == 300
    assert await store.count_token_changes() == 300


async def test_another_process_sees_what_was_done_and_that_it_was(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.db") as server, open_store(tmp_path / "store.db") as command:
        before = await server.count_token_changes()
        await command.add_token(token(), now=NOW)
        between = await server.count_token_changes()
        await command.revoke_token("ci", now=LATER)
        assert before < between < await server.count_token_changes()
        assert [each.revoked_at for each in await server.list_tokens()] == [LATER]
        assert await server.ever_had_token()


async def test_the_fake_has_trouble_when_told() -> None:
    store = MemoryMetadataStore()
    store.trouble = StorageTrouble("the disk is gone")
    with pytest.raises(StorageTrouble):
        await store.count_token_changes()
