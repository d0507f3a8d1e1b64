"""Tokens are made and revoked: by whoever has the data directory in hand."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from proxy.core.digests import sha256_of
from proxy.core.errors import NotFound, TokenNameTaken
from proxy.core.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import timedelta

    from proxy.core.access import Principal
    from proxy.ports import Clock, TokenStore

PREFIX: Final = "psc_"
"""Secrets begin with it, so that scanners of repositories and logs can recognise them."""
_RANDOM_BYTES: Final = 32


class Issuer:
    """`configured` are the names of the config's tokens, which are neither given nor revoked here."""

    def __init__(self, store: TokenStore, clock: Clock, configured: Collection[str]) -> None:
        self._store = store
        self._clock = clock
        self._configured = configured

    async def create(self, principal: Principal, lifetime: timedelta | None) -> str:
        """Make a token; returns its secret, which is nowhere kept. Raises TokenNameTaken."""
        if principal.name in self._configured:
            raise TokenNameTaken(f"the config has a token named {principal.name}; choose another name")
        now = self._clock.now()
        secret = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        expires_at = None if lifetime is None else now + lifetime
        await self._store.add_token(Token(principal, sha256_of(secret.encode()), expires_at=expires_at), now=now)
        return secret

    async def revoke(self, name: str) -> None:
        """End a token at once and for ever; raises NotFound, also for one that only the config has."""
        try:
            await self._store.revoke_token(name, now=self._clock.now())
        except NotFound as error:
            if name not in self._configured:
                raise
            raise NotFound(f"the token {name} is the config's: remove it there") from error

    async def list(self) -> Sequence[Token]:
        """The tokens that were not revoked, the oldest first."""
        return [token for token in await self._store.list_tokens() if token.revoked_at is None]
