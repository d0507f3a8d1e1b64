"""Who can reach the address that the server is bound to, and what follows for callers without credentials."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.config.load import Config


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address, without a port) reaches this machine alone."""
    name = host.removeprefix("[").removesuffix("]").removesuffix(".").lower()
    if name == "localhost":
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def needs_anonymous_setting(config: Config) -> bool:
    """Whether strangers can reach the server while the config says nothing of what they may do.

    A data directory that knows a token answers for it; one that knows none does not.
    """
    return config.access.anonymous is None and not config.tokens and not is_loopback(config.server.host)
