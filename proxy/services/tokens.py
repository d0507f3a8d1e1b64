"""Whose secret it is. The config's tokens and those made by command, which may come and go while the server runs."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from typing import TYPE_CHECKING, Final

from proxy.core.digests import Sha256, sha256_of
from proxy.core.errors import StorageTrouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from proxy.core.tokens import Token
    from proxy.ports import TokenStore

MAX_AGE: Final = 1.0
"""Seconds that a change by command may go unseen; so often at most the store is asked for changes."""

logger = logging.getLogger(__name__)


class StoredTokens:
    """The tokens of the store, held in memory. `timer` gives seconds of a clock that only goes forward."""

    def __init__(self, store: TokenStore, timer: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._timer = timer
        self._turn = asyncio.Lock()
        self._looked_at = float("-inf")
        self._changes = 0
        self._in_trouble = False
        self.by_hash: Mapping[Sha256, Token] = {}
        self.ever_known = False

    @property
    def in_use(self) -> bool:
        """Whether there is a token that was not revoked."""
        return any(token.revoked_at is None for token in self.by_hash.values())

    async def load(self) -> None:
        """Know the tokens, to begin with; raises StorageTrouble."""
        self.ever_known = await self._store.ever_had_token()
        await self._look()

    async def note_token(self) -> None:
        """Have the store remember that there was a token; raises StorageTrouble."""
        if not self.ever_known:
            self.ever_known = True
            await self._store.note_token()

    async def refresh(self, max_age: float) -> None:
        """Know all that was done until `max_age` seconds ago. While the store is in trouble, what was known stands."""
        since = self._timer() - max_age
        if self._looked_at > since:
            return
        async with self._turn:
            if self._looked_at <= since:  # else whoever had the turn before has looked for this caller too
                began = self._timer()
                await self._look_if_possible()
                self._looked_at = began

    async def _look_if_possible(self) -> None:
        try:
            await self._look()
        except StorageTrouble as error:
            if not self._in_trouble:
                logger.warning("tokens made or revoked by command are not seen: %s", error.message)
            self._in_trouble = True
        else:
            self._in_trouble = False

    async def _look(self) -> None:
        changes = await self._store.count_token_changes()
        if changes != self._changes:
            self.by_hash = {token.sha256: token for token in await self._store.list_tokens()}
            self.ever_known = True
            self._changes = changes


class Tokens:
    """The tokens of one configuration and, as they are at the time, those of the store."""

    def __init__(self, configured: Iterable[Token], stored: StoredTokens) -> None:
        self._configured = {token.sha256: token for token in configured}
        self._stored = stored

    @property
    def ever_known(self) -> bool:
        """Whether the data directory has ever known a token."""
        return bool(self._configured) or self._stored.ever_known

    def find(self, secret: str) -> Token | None:
        """The token with this secret, valid or not."""
        digest = sha256_of(secret.encode(errors="surrogateescape"))
        token = self._configured.get(digest) or self._stored.by_hash.get(digest)
        return token if token is not None and hmac.compare_digest(token.sha256, digest) else None

    async def refresh(self, max_age: float = MAX_AGE) -> None:
        """See what was made or revoked by command until `max_age` seconds ago."""
        await self._stored.refresh(max_age)
