"""Tokens made by command. None is ever removed: who still uses a revoked one is told so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from proxy.core.access import Kind, Principal, Role, Scope
from proxy.core.digests import Sha256
from proxy.core.errors import NotFound, TokenNameTaken
from proxy.core.names import GroupPath
from proxy.core.tokens import Token
from proxy.sqlite.columns import from_instant, to_instant
from proxy.sqlite.database import Tables

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

_ADD: Final = """
    INSERT INTO tokens (name, kind, username, sha256, scopes, access, created_at, expires_at)
    VALUES (:name, :kind, :username, :sha256, :scopes, :access, :created_at, :expires_at)
    ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING
    RETURNING id
"""

_REVOKE: Final = "UPDATE tokens SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL RETURNING id"

_NOTE: Final = "INSERT INTO known_tokens (id) VALUES (1) ON CONFLICT DO NOTHING"


class SqliteTokens(Tables):
    """TokenStore."""

    async def add_token(self, token: Token, *, now: datetime) -> None:
        async with self._database.transaction() as transaction:
            if not await transaction.execute(_ADD, _columns(token, now)):
                name = token.principal.name
                raise TokenNameTaken(f"a token named {name} is in use; revoke it first, or choose another name")
            await transaction.execute(_NOTE)

    async def list_tokens(self) -> list[Token]:
        return [_token(row) for row in await self._database.read("SELECT * FROM tokens ORDER BY id")]

    async def revoke_token(self, name: str, *, now: datetime) -> None:
        async with self._database.transaction() as transaction:
            if not await transaction.execute(_REVOKE, (from_instant(now), name)):
                raise NotFound(f"no token named {name} is in use")

    async def count_token_changes(self) -> int:
        """A token comes once and is revoked at most once, so their sum tells each change."""
        [(changes,)] = await self._database.read("SELECT count(*) + count(revoked_at) FROM tokens")
        return int(changes)

    async def note_token(self) -> None:
        async with self._database.transaction() as transaction:
            await transaction.execute(_NOTE)

    async def ever_had_token(self) -> bool:
        return bool(await self._database.read("SELECT 1 FROM known_tokens"))


def _columns(token: Token, now: datetime) -> dict[str, object]:
    principal = token.principal
    return {
        "name": principal.name,
        "kind": principal.kind,
        "username": principal.username,
        "sha256": token.sha256,
        "scopes": json.dumps(sorted(principal.scopes)),
        "access": json.dumps({path: role.name.lower() for path, role in principal.grants.items()}),
        "created_at": from_instant(now),
        "expires_at": None if token.expires_at is None else from_instant(token.expires_at),
    }


def _token(row: sqlite3.Row) -> Token:
    principal = Principal(
        Kind(row["kind"]),
        row["name"],
        row["username"],
        frozenset(map(Scope, json.loads(row["scopes"]))),
        {GroupPath(path): Role[role.upper()] for path, role in json.loads(row["access"]).items()},
    )
    return Token(
        principal,
        Sha256(row["sha256"]),
        created_at=to_instant(row["created_at"]),
        expires_at=_instant(row["expires_at"]),
        revoked_at=_instant(row["revoked_at"]),
    )


def _instant(column: int | None) -> datetime | None:
    return None if column is None else to_instant(column)
