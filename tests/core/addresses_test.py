from __future__ import annotations

from ipaddress import ip_network

import pytest

from proxy.core.addresses import client_address

TRUSTED = [ip_network(each) for each in ("10.0.0.0/8", "127.0.0.1", "fd00::/8")]


@pytest.mark.parametrize("peer", ["203.0.113.9", "2001:db8::9"])
@pytest.mark.parametrize("forwarded", [[], ["10.0.0.1"], ["198.51.100.1, 10.0.0.1"], ["nonsense"]])
def test_an_untrusted_peer_speaks_for_itself_alone(peer: str, forwarded: list[str]) -> None:
    assert client_address(peer, forwarded, TRUSTED) == peer


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ([], "10.0.0.1"),
        ([""], "10.0.0.1"),
        (["203.0.113.1"], "203.0.113.1"),
        ([" 203.0.113.1 "], "203.0.113.1"),
        (["198.51.100.1, 203.0.113.1"], "203.0.113.1"),
        (["198.51.100.1,203.0.113.1,10.0.0.2,127.0.0.1"], "203.0.113.1"),
        (["198.51.100.1", "203.0.113.1", "10.0.0.2"], "203.0.113.1"),
        (["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (["203.0.113.1, nonsense"], "10.0.0.1"),
        (["203.0.113.1, unknown, 10.0.0.2"], "10.0.0.2"),
        (["203.0.113.1,, 10.0.0.2"], "10.0.0.2"),
        (["203.0.113.1:80"], "203.0.113.1"),
        (["203.0.113.1, 10.0.0.2:1234"], "203.0.113.1"),
        (["2001:DB8::0:1"], "2001:db8::1"),
        (["[2001:db8::1]"], "2001:db8::1"),
        (["[2001:db8::1]:443, [fd00::1]:443"], "2001:db8::1"),
        (["::ffff:203.0.113.1"], "203.0.113.1"),
        (["203.0.113.1, ::ffff:10.0.0.2"], "203.0.113.1"),
        (["fe80::1%eth0"], "fe80::1"),
        (["1.2.3.4.5"], "10.0.0.1"),
        (["0x7f.1"], "10.0.0.1"),
        (["[203.0.113.1"], "203.0.113.1"),
        (["9" * 10_000], "10.0.0.1"),
    ],
)
def test_behind_trusted_proxies_it_is_the_nearest_that_is_none(forwarded: list[str], address: str) -> None:
    assert client_address("10.0.0.1", forwarded, TRUSTED) == address


@pytest.mark.parametrize("peer", ["::ffff:10.0.0.1", "fd00::1%eth0"])
def test_a_peer_is_trusted_however_its_address_is_written(peer: str) -> None:
    assert client_address(peer, ["203.0.113.1"], TRUSTED) == "203.0.113.1"


@pytest.mark.parametrize("peer", ["", "/run/pypi-sidecar.sock"])
def test_a_peer_without_an_address_is_what_it_is(peer: str) -> None:
    assert client_address(peer, ["203.0.113.1"], TRUSTED) == peer


def test_nobody_is_trusted_by_default() -> None:
    assert client_address("127.0.0.1", ["203.0.113.1"], ()) == "127.0.0.1"
