"""Tokens: who holds a secret, and until when. Of the secret itself only its sha256 is known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from proxy.core.access import Principal
    from proxy.core.digests import Sha256


class Standing(Enum):
    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Token:
    """`sha256` is that of the secret's bytes. `created_at` None: the config has it; `expires_at` None: never."""

    principal: Principal
    sha256: Sha256
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def standing(self, now: datetime) -> Standing:
        """A revoked token stays revoked when it expires too."""
        if self.revoked_at is not None:
            return Standing.REVOKED
        expired = self.expires_at is not None and now >= self.expires_at
        return Standing.EXPIRED if expired else Standing.VALID
