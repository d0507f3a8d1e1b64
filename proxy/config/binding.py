"""Who can reach the address that the server is bound to, and what follows for callers without credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.hosts import is_loopback

if TYPE_CHECKING:
    from proxy.config.load import Config


def needs_anonymous_setting(config: Config) -> bool:
    """Whether strangers can reach the server while the config says nothing of what they may do.

    A data directory that knows a token answers for it; one that knows none does not.
    """
    return config.access.anonymous is None and not config.tokens and not is_loopback(config.server.host)
