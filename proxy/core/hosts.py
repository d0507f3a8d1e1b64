"""What host names mean."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address


def is_address(host: str) -> bool:
    """Whether `host` is an IP address: no name that somebody could point elsewhere."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_unspecified(host: str) -> bool:
    """Whether a server bound to `host` answers on every address of its machine."""
    return is_address(host) and ip_address(host).is_unspecified


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address, without a port) can only mean this machine (RFC 6761 section 6.3)."""
    name = host.removeprefix("[").removesuffix("]").removesuffix(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
