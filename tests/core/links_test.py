"""Links of a page at https://index.example/simple/demo/ which may lead to that host and to files.example."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.core.links import BadLink, Links

if TYPE_CHECKING:
    from yarl import URL

PAGE = "https://index.example/simple/demo/"
HOSTS = {"index.example", "files.example"}


def may_link(url: URL) -> bool:
    return url.scheme == "https" and url.host in HOSTS and url.port == 443


def resolve(link: str, *, base: str = "") -> str:
    return Links(PAGE, may_link, base=base).resolve(link)


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://files.example/a/demo-1.0.zip", "https://files.example/a/demo-1.0.zip"),
        ("https://files.example/%7Ea/demo%2B1.zip", "https://files.example/%7Ea/demo%2B1.zip"),
        ("https://files.example:443/demo.zip", "https://files.example:443/demo.zip"),
        ("HTTPS://FILES.example/demo.zip", "https://files.example/demo.zip"),
        ("//files.example/demo.zip", "https://files.example/demo.zip"),
        ("/demo.zip", "https://index.example/demo.zip"),
        ("demo.zip", "https://index.example/simple/demo/demo.zip"),
        ("../../files/demo.zip", "https://index.example/files/demo.zip"),
        ("../../../../../demo.zip", "https://index.example/demo.zip"),
        ("demo.zip?sig=a%2Fb", "https://index.example/simple/demo/demo.zip?sig=a/b"),
        ("demo.zip#sha256=00", "https://index.example/simple/demo/demo.zip"),
        ("https://files.example/demo.zip#egg=x", "https://files.example/demo.zip"),
        ("", PAGE),
    ],
)
def test_a_link_becomes_absolute(link: str, url: str) -> None:
    assert resolve(link) == url


@pytest.mark.parametrize("link", ["https://user:secret@files.example/demo.zip", "https://user@files.example/demo.zip"])
def test_credentials_in_a_link_are_left_out(link: str) -> None:
    assert resolve(link) == "https://files.example/demo.zip"


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/demo.zip",
        "https://evil.example",
        "https://files.example.evil.example/demo.zip",
        "https://files.example@evil.example/demo.zip",
        "https://files.example:444/demo.zip",
        "http://files.example/demo.zip",
        "//evil.example/demo.zip",
        "https://127.0.0.1/demo.zip",
        "https://[::1]/demo.zip",
        "https://files.example./demo.zip",
    ],
)
def test_a_link_to_another_host_is_refused_and_names_it(link: str) -> None:
    with pytest.raises(BadLink, match="which is not a host of this upstream"):
        resolve(link)


@pytest.mark.parametrize(
    "link",
    [
        "ftp://files.example/demo.zip",
        "file:///etc/passwd",
        "data:text/plain,x",
        "javascript:alert(1)",
        "mailto:a@files.example",
        "https://files.example:port/demo.zip",
        "https://[files.example/demo.zip",
    ],
)
def test_what_is_no_web_address_is_refused(link: str) -> None:
    with pytest.raises(BadLink):
        resolve(link)


@pytest.mark.parametrize("link", ["https://files.example:99999/demo.zip", "https://a..b/demo.zip", "https://-/x"])
def test_hosts_and_ports_that_cannot_be_are_refused(link: str) -> None:
    with pytest.raises(BadLink):
        resolve(link)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://files.example/store/", "https://files.example/store/demo.zip"),
        ("/mirror/", "https://index.example/mirror/demo.zip"),
        ("../", "https://index.example/simple/demo.zip"),
        ("ftp://files.example/", "https://index.example/simple/demo/demo.zip"),
        ("https://[", "https://index.example/simple/demo/demo.zip"),
    ],
)
def test_a_base_element_counts_where_it_is_a_web_address(base: str, url: str) -> None:
    assert resolve("demo.zip", base=base) == url


def test_a_base_elsewhere_does_not_open_that_host() -> None:
    with pytest.raises(BadLink, match=r"evil\.example"):
        resolve("demo.zip", base="https://evil.example/")


def test_the_question_is_asked_once_for_each_origin() -> None:
    asked: list[str] = []

    def ask(url: URL) -> bool:
        asked.append(str(url))
        return url.host == "files.example"

    links = Links(PAGE, ask)
    for number in range(3):
        links.resolve(f"https://files.example/{number}")
        with pytest.raises(BadLink):
            links.resolve(f"https://evil.example/{number}")
    assert [url.rstrip("/") for url in asked] == ["https://files.example", "https://evil.example"]
