"""Whose address a request comes from when proxies pass it on."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


def client_address(peer: str, forwarded_for: Iterable[str], trusted: Collection[Network]) -> str:
    """The nearest address that is not a trusted proxy's, from the peer of the connection backwards.

    `forwarded_for` are the values of `X-Forwarded-For`, in order. Each proxy adds at the right whom it heard from, so
    what stands left of an untrusted address is that client's own invention, and what is no address ends the way.
    """
    address = _parse(peer)
    if address is None:
        return peer
    hops = [hop for value in forwarded_for for hop in value.split(",")]
    while hops and _is_trusted(address, trusted):
        before = _parse(hops.pop())
        if before is None:
            break
        address = before
    return str(address)


def _is_trusted(address: Address, trusted: Collection[Network]) -> bool:
    return any(address in network for network in trusted)


def _parse(hop: str) -> Address | None:
    """An address as proxies write it: bare, `1.2.3.4:567`, `[::1]`, `[::1]:567`. IPv4 within IPv6 is IPv4."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
