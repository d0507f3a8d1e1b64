"""The tokens of the config file: of each secret only its sha256 is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.core.digests import Sha256, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from proxy.config.schema import TokenTable
    from proxy.core.access import Kind, Role, Scope
    from proxy.core.names import GroupPath


@dataclass(frozen=True, slots=True)
class ConfigToken:
    """`access` maps paths of groups and projects to the role held there; `expires` None is never."""

    name: str
    kind: Kind
    username: str
    sha256: Sha256
    scopes: frozenset[Scope]
    access: Mapping[GroupPath, Role]
    expires: datetime | None


def resolve_tokens(tables: Iterable[TokenTable], environ: Mapping[str, str]) -> tuple[ConfigToken, ...]:
    """Tokens without a secret, which `check` calls a fault, are left out."""
    found = ((table, digest_of(table, environ)) for table in tables)
    return tuple(
        ConfigToken(
            name=table.name,
            kind=table.kind,
            username=table.username,
            sha256=digest,
            scopes=frozenset(table.scopes),
            access=table.access,
            expires=table.expires,
        )
        for table, digest in found
        if digest
    )


def digest_of(table: TokenTable, environ: Mapping[str, str]) -> Sha256 | None:
    """The sha256 of the token's secret; None where neither the table nor the environment tells."""
    if table.sha256 is not None:
        return table.sha256
    secret = environ.get(table.secret_env or "")
    return sha256_of(secret.encode(errors="surrogateescape")) if secret else None
