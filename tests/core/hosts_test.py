"""Which host names can only mean this machine."""

from __future__ import annotations

import pytest

from proxy.core.hosts import is_address, is_loopback, is_unspecified


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost",
        "localhost.",
        "pypi.localhost",
        "127.0.0.1",
        "127.1.2.3",
        "127.0.0.1.",
        "::1",
        "[::1]",
        "0:0:0:0:0:0:0:1",
        "::ffff:127.0.0.1",
        "[::ffff:127.0.0.1]",
    ],
)
def test_loopback_names_and_addresses(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "0.0.0.0",
        "::",
        "[::]",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.1.1",
        "fe80::1",
        "::ffff:10.0.0.1",
        "localhost.example",
        "notlocalhost",
        "127.0.0.1.nip.io",
        "localhost.localdomain",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "rebind.example",
    ],
)
def test_anything_else_may_mean_another_machine(host: str) -> None:
    assert not is_loopback(host)


def test_an_address_is_no_name() -> None:
    assert is_address("192.168.1.5")
    assert is_address("fe80::1")
    assert not is_address("pypi.example")
    assert not is_address("")


def test_bound_to_every_address() -> None:
    assert is_unspecified("0.0.0.0")
    assert is_unspecified("::")
    assert not is_unspecified("127.0.0.1")
    assert not is_unspecified("pypi.example")
