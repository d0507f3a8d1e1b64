from __future__ import annotations

from datetime import timedelta

import pytest

from proxy.core.access import Kind, Principal, Role, Scope
from proxy.core.digests import sha256_of
from proxy.core.errors import NotFound, TokenNameTaken
from proxy.core.names import GroupPath
from proxy.core.tokens import Token
from proxy.services.issue import Issuer
from tests.fakes.clock import START, FakeClock
from tests.fakes.metadata_store import MemoryMetadataStore

CI = Principal(Kind.DEPLOY, "ci", "zoe", frozenset({Scope.READ_PACKAGE_REGISTRY}), {GroupPath("acme"): Role.DEVELOPER})


@pytest.fixture
def store() -> MemoryMetadataStore:
    return MemoryMetadataStore()


@pytest.fixture
def issuer(store: MemoryMetadataStore) -> Issuer:
    return Issuer(store, FakeClock(), {"of-the-config"})


async def test_the_store_has_the_digest_of_the_secret_and_never_the_secret(
    issuer: Issuer, store: MemoryMetadataStore
) -> None:
    secret = await issuer.create(CI, timedelta(days=30))
    expected = Token(CI, sha256_of(secret.encode()), START, START + timedelta(days=30))
    assert await issuer.list() == [expected]
    assert secret not in repr(store.tokens)


async def test_a_token_without_a_lifetime_never_expires(issuer: Issuer) -> None:
    await issuer.create(CI, None)
    (token,) = await issuer.list()
    assert token.expires_at is None


async def test_secrets_are_long_and_recognisable_and_never_the_same(issuer: Issuer) -> None:
    secrets = {await issuer.create(Principal(Kind.PERSONAL, str(number)), None) for number in range(50)}
    assert len(secrets) == 50
    assert all(secret.startswith("psc_") and len(secret) >= 4 + 43 for secret in secrets)


async def test_a_name_of_the_config_is_not_given(issuer: Issuer) -> None:
    with pytest.raises(TokenNameTaken, match="config"):
        await issuer.create(Principal(Kind.PERSONAL, "of-the-config"), None)
    assert await issuer.list() == []


async def test_a_revoked_token_is_no_longer_listed(issuer: Issuer) -> None:
    await issuer.create(CI, None)
    await issuer.revoke("ci")
    assert await issuer.list() == []


async def test_what_is_not_there_cannot_be_revoked(issuer: Issuer) -> None:
    with pytest.raises(NotFound, match="no token named nobody"):
        await issuer.revoke("nobody")
    with pytest.raises(NotFound, match="remove it there"):
        await issuer.revoke("of-the-config")
