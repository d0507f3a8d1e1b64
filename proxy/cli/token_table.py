"""Tokens as a table for people and as JSON. There is no secret in either: none is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from proxy.core.tokens import Token

_HEADINGS = ("NAME", "KIND", "USERNAME", "SCOPES", "ACCESS", "CREATED", "EXPIRES", "STATUS")


class Listed(TypedDict):
    """`created_at` null: the config has it; `expires_at` null: never. Instants are in ISO 8601, UTC."""

    name: str
    kind: str
    username: str
    scopes: list[str]
    access: dict[str, str]
    created_at: str | None
    expires_at: str | None
    status: str


def json_of(tokens: Iterable[Token], now: datetime) -> list[Listed]:
    return [_listed(token, now) for token in tokens]


def table_of(tokens: Iterable[Token], now: datetime) -> str:
    """A line a token, in columns, under a line of headings."""
    return _columns([_HEADINGS, *(_row(_listed(token, now)) for token in tokens)])


def _listed(token: Token, now: datetime) -> Listed:
    principal = token.principal
    return {
        "name": principal.name,
        "kind": principal.kind.value,
        "username": principal.username,
        "scopes": sorted(principal.scopes),
        "access": {path: role.name.lower() for path, role in principal.grants.items()},
        "created_at": _instant(token.created_at),
        "expires_at": _instant(token.expires_at),
        "status": token.standing(now).value,
    }


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="seconds")


def _row(token: Listed) -> tuple[str, ...]:
    return (
        token["name"],
        token["kind"],
        token["username"] or "-",
        ",".join(token["scopes"]) or "-",
        ",".join(f"{path}={role}" for path, role in token["access"].items()) or "-",
        token["created_at"] or "in the config",
        token["expires_at"] or "never",
        token["status"],
    )


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
