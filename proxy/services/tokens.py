"""Who a secret belongs to. Only hashes of secrets are known here."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from proxy.core.access import Principal


@dataclass(frozen=True, slots=True)
class Token:
    """`sha256` is the hex digest of the secret; `expires` None means never."""

    principal: Principal
    sha256: str
    expires: datetime | None = None

    def valid_at(self, now: datetime) -> bool:
        return self.expires is None or now < self.expires


class Tokens:
    def __init__(self, tokens: Iterable[Token]) -> None:
        self._by_hash = {token.sha256: token for token in tokens}

    def __bool__(self) -> bool:
        """Whether any token is known."""
        return bool(self._by_hash)

    def find(self, secret: str) -> Token | None:
        """The token with this secret, expired or not."""
        digest = sha256(secret.encode()).hexdigest()
        token = self._by_hash.get(digest)
        return token if token is not None and hmac.compare_digest(token.sha256, digest) else None
