"""Where an upstream's links and redirects may lead."""

from __future__ import annotations

import pytest
from yarl import URL

from proxy.core.reach import Reach
from proxy.core.registry import Upstream

PYPI = Reach.of(Upstream("pypi", "https://pypi.org/simple/", ("files.pythonhosted.org", "mirror.example:8443")))
DEV = Reach.of(Upstream("dev", "http://127.0.0.1:3141/root/+simple/", ("localhost", "[::1]:99")))


@pytest.mark.parametrize(
    "url",
    [
        "https://pypi.org/",
        "https://pypi.org:443/simple/demo/",
        "https://PyPI.org/simple/demo/",
        "https://files.pythonhosted.org/packages/a/demo.zip?x=1",
        "https://mirror.example:8443/demo.zip",
    ],
)
def test_its_own_host_and_its_file_hosts_are_within_reach(url: str) -> None:
    assert PYPI.allows(URL(url))


@pytest.mark.parametrize(
    "url",
    [
        "http://pypi.org/simple/",
        "http://pypi.org:443/simple/",
        "https://pypi.org:8443/",
        "https://mirror.example/demo.zip",
        "https://mirror.example:443/demo.zip",
        "https://evil.pypi.org/",
        "https://pypi.org.evil.example/",
        "https://pypi.org./",
        "https://127.0.0.1/",
        "https://[::1]/",
        "ftp://pypi.org/",
        "file:///etc/passwd",
        "/simple/",
        "",
    ],
)
def test_nothing_else_is(url: str) -> None:
    assert not PYPI.allows(URL(url))


@pytest.mark.parametrize("user", ["user@", "user:secret@", ":secret@"])
def test_a_url_with_credentials_never_is(user: str) -> None:
    assert not PYPI.allows(URL(f"https://{user}pypi.org/simple/"))


def test_a_host_without_a_port_means_its_schemes() -> None:
    assert DEV.allows(URL("http://127.0.0.1:3141/x"))
    assert DEV.allows(URL("http://localhost/x"))
    assert DEV.allows(URL("http://[::1]:99/x"))
    assert not DEV.allows(URL("http://127.0.0.1/x"))
    assert not DEV.allows(URL("http://localhost:3141/x"))
    assert not DEV.allows(URL("https://localhost/x"))


def test_as_text_equal_reaches_are_equal_and_others_differ() -> None:
    one = Upstream("a", "https://a.example/simple/", ("b.example", "c.example"))
    same = Upstream("a", "https://a.example/other/", ("c.example", "b.example:443"))
    others = [
        Upstream("a", "http://a.example/simple/", ("b.example", "c.example")),
        Upstream("a", "https://a.example/simple/", ("b.example",)),
        Upstream("a", "https://a.example:8443/simple/", ("b.example", "c.example")),
    ]
    assert Reach.of(one).text == Reach.of(same).text
    assert len({Reach.of(upstream).text for upstream in (one, *others)}) == 4
