"""Who can reach the address that the server is bound to, and what follows for callers without credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.errors import InvalidConfig
from proxy.core.hosts import is_loopback

if TYPE_CHECKING:
    from proxy.config.load import Config


def needs_anonymous_setting(config: Config) -> bool:
    """Whether strangers can reach the server while the config says nothing of what they may do.

    A data directory that knows a token answers for it; one that knows none does not.
    """
    return config.access.anonymous is None and not config.tokens and not is_loopback(config.server.host)


def check_anonymous_setting(config: Config, *, has_token: bool) -> None:
    """Raises InvalidConfig where the setting is needed and missing; `has_token`: the data directory knows one."""
    if has_token or not needs_anonymous_setting(config):
        return
    fault = (
        f"access.anonymous: must be set when the server is bound to {config.server.host} and has no token: "
        '"none", "read" or "publish"; or add [[tokens]] or `pypi-sidecar token create` one, or bind it to 127.0.0.1'
    )
    raise InvalidConfig([fault])
