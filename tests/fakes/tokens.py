"""The TokenStore of MemoryMetadataStore."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from proxy.core.errors import NotFound, TokenNameTaken

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from proxy.core.tokens import Token


class MemoryTokens:
    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[Token] = []
        self.knew_token = False

    async def add_token(self, token: Token, *, now: datetime) -> None:
        await self._turn()
        if self._position(token.principal.name) is not None:
            raise TokenNameTaken(f"a token named {token.principal.name} is in use")
        self.tokens.append(replace(token, created_at=now))
        self.knew_token = True

    async def list_tokens(self) -> Sequence[Token]:
        await self._turn()
        return [*self.tokens]

    async def revoke_token(self, name: str, *, now: datetime) -> None:
        await self._turn()
        position = self._position(name)
        if position is None:
            raise NotFound(f"no token named {name} is in use")
        self.tokens[position] = replace(self.tokens[position], revoked_at=now)

    async def count_token_changes(self) -> int:
        await self._turn()
        return len(self.tokens) + sum(token.revoked_at is not None for token in self.tokens)

    async def note_token(self) -> None:
        await self._turn()
        self.knew_token = True

    async def ever_had_token(self) -> bool:
        await self._turn()
        return self.knew_token

    def _position(self, name: str) -> int | None:
        """Where the token of this name is that was not revoked."""
        named = (at for at, token in enumerate(self.tokens) if token.principal.name == name)
        return next((at for at in named if self.tokens[at].revoked_at is None), None)

    async def _turn(self) -> None:
        """MemoryMetadataStore's: another task's turn, and trouble where a test wants some."""
        raise NotImplementedError  # a mixin: MemoryMetadataStore has it
