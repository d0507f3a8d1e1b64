"""What the server knows of tokens, and when it asks."""

from __future__ import annotations

import asyncio
import logging

import pytest

from proxy.core.access import Kind, Principal
from proxy.core.digests import sha256_of
from proxy.core.errors import StorageTrouble
from proxy.core.tokens import Token
from proxy.services.tokens import StoredTokens, Tokens
from tests.fakes.clock import START
from tests.fakes.metadata_store import MemoryMetadataStore


def token(name: str) -> Token:
    """Its secret is its name."""
    return Token(Principal(Kind.PERSONAL, name), sha256_of(name.encode()))


class CountingStore(MemoryMetadataStore):
    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    async def count_token_changes(self) -> int:
        self.looks += 1
        return await super().count_token_changes()


class Timer:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def stored(store: CountingStore, timer: Timer) -> StoredTokens:
    return StoredTokens(store, timer)


@pytest.fixture
def tokens(stored: StoredTokens) -> Tokens:
    return Tokens([token("config")], stored)


def found(tokens: Tokens, secret: str) -> str | None:
    token = tokens.find(secret)
    return token.principal.name if token else None


async def test_both_kinds_are_found_by_their_secrets(tokens: Tokens, store: CountingStore) -> None:
    await store.add_token(token("made"), now=START)
    await tokens.refresh()
    assert [found(tokens, each) for each in ("config", "made", "neither", "", "\udcff")] == [
        "config",
        "made",
        None,
        None,
        None,
    ]


async def test_a_change_is_seen_when_a_second_has_passed(tokens: Tokens, store: CountingStore, timer: Timer) -> None:
    await tokens.refresh()
    await store.add_token(token("made"), now=START)
    timer.now += 0.9
    await tokens.refresh()
    assert (found(tokens, "made"), store.looks) == (None, 1)
    timer.now += 0.2
    await tokens.refresh()
    assert (found(tokens, "made"), store.looks) == ("made", 2)


async def test_a_change_is_seen_at_once_where_it_matters(tokens: Tokens, store: CountingStore) -> None:
    await tokens.refresh()
    await store.add_token(token("made"), now=START)
    await tokens.refresh(max_age=0)
    assert found(tokens, "made") == "made"


async def test_a_revoked_token_is_still_known_as_such(tokens: Tokens, store: CountingStore, timer: Timer) -> None:
    await store.add_token(token("made"), now=START)
    await tokens.refresh()
    await store.revoke_token("made", now=START)
    timer.now += 1.1
    await tokens.refresh()
    revoked = tokens.find("made")
    assert revoked
    assert revoked.revoked_at == START


async def test_an_unchanged_list_is_not_read_again(tokens: Tokens, store: CountingStore, timer: Timer) -> None:
    await store.add_token(token("made"), now=START)
    await tokens.refresh()
    before = tokens.find("made")
    timer.now += 10
    await tokens.refresh()
    assert tokens.find("made") is before


async def test_those_who_wait_for_a_look_share_the_next(store: CountingStore) -> None:
    tokens = Tokens([], StoredTokens(store))

    async def add_and_look() -> None:
        await store.add_token(token("made"), now=START)
        await tokens.refresh(max_age=0)
        assert found(tokens, "made") == "made"

    looks = [tokens.refresh(max_age=0) for _ in range(50)]
    await asyncio.gather(*looks[:25], add_and_look(), *looks[25:])
    assert store.looks <= 3


async def test_one_who_leaves_takes_nothing_along(tokens: Tokens, store: CountingStore) -> None:
    await store.add_token(token("made"), now=START)
    leaving = asyncio.create_task(tokens.refresh())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await tokens.refresh()
    assert found(tokens, "made") == "made"


async def test_trouble_is_told_once_and_changes_nothing(
    tokens: Tokens, store: CountingStore, timer: Timer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await store.add_token(token("made"), now=START)
    await tokens.refresh()
    store.trouble = StorageTrouble("the disk is gone")
    for _ in range(3):
        timer.now += 2
        await tokens.refresh()
        assert found(tokens, "made") == "made"
    assert [record.message for record in caplog.records] == [
        "tokens made or revoked by command are not seen: the disk is gone"
    ]
    store.trouble = None
    await store.revoke_token("made", now=START)
    timer.now += 2
    await tokens.refresh()
    revoked = tokens.find("made")
    assert revoked
    assert revoked.revoked_at


class TestEverKnown:
    async def test_not_without_one(self, stored: StoredTokens) -> None:
        await stored.load()
        assert not Tokens([], stored).ever_known

    async def test_with_one_of_the_config(self, tokens: Tokens) -> None:
        assert tokens.ever_known

    async def test_from_the_first_one_made_on(self, stored: StoredTokens, store: CountingStore) -> None:
        await stored.load()
        await store.add_token(token("made"), now=START)
        await stored.refresh(0)
        assert Tokens([], stored).ever_known
        assert stored.in_use

    async def test_also_after_its_end_and_a_restart(self, store: CountingStore, timer: Timer) -> None:
        await store.add_token(token("made"), now=START)
        await store.revoke_token("made", now=START)
        restarted = StoredTokens(store, timer)
        await restarted.load()
        assert Tokens([], restarted).ever_known
        assert not restarted.in_use

    async def test_also_when_it_was_only_noted(self, stored: StoredTokens, store: CountingStore, timer: Timer) -> None:
        await stored.load()
        await stored.note_token()
        restarted = StoredTokens(store, timer)
        await restarted.load()
        assert stored.ever_known
        assert restarted.ever_known
