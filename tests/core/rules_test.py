from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from packaging.version import Version

from proxy.core.errors import InvalidName
from proxy.core.names import ProjectName
from proxy.core.rules import Exemption, first_match, parse_name_pattern, parse_name_rule

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("requests", "requests", True),
        ("requests", "requests-oauthlib", False),
        ("Acme_*", "acme-tools", True),
        ("acme.*", "acme-tools", True),
        ("acme-*", "acme", False),
        ("acme*", "acme", True),
        ("acme*", "acmetools", True),
        ("acme-*", "my-acme-tools", False),
        ("*-internal", "acme-internal", True),
        ("*-internal", "internal", False),
        ("acme-?", "acme-x", True),
        ("acme-?", "acme-xy", False),
        ("*", "anything-at-all", True),
        ("My__Pkg", "my-pkg", True),
    ],
)
def test_a_pattern_is_a_glob_over_normalized_names(pattern: str, name: str, *, matches: bool) -> None:
    assert parse_name_pattern(pattern).matches(ProjectName(name)) is matches


def test_a_pattern_remembers_what_the_config_says() -> None:
    assert parse_name_pattern("Acme_*").text == "Acme_*"
    assert parse_name_rule("Requests<2.32").text == "Requests<2.32"


@pytest.mark.parametrize(
    "text", ["", " ", "acme tools", "acme/*", "[a-z]", "acme*\n", "é*", "acme-", "-acme*", "acme*-"]
)
def test_a_pattern_that_could_never_match_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_name_pattern(text)


@pytest.mark.parametrize(
    ("rule", "name", "version", "covered"),
    [
        ("requests", "requests", "1.0", True),
        ("requests", "requests", None, True),
        ("acme-*", "acme-tools", None, True),
        ("requests", "urllib3", None, False),
        ("Requests<2.32", "requests", "2.31.0", True),
        ("requests<2.32", "requests", "2.32", False),
        ("requests<2.32", "requests", None, None),
        ("requests<2.32", "urllib3", None, False),
        ("requests>=2", "requests", "3.0a1", True),
        ("requests==2.0", "requests", "2.0+cu121", True),
        ("requests==2.*", "requests", "2.7", True),
        ("requests==2.*", "requests", "1!2.7", False),
        ("my_pkg~=1.4", "my-pkg", "1.5", True),
        ("my_pkg (>=1, <2)", "my-pkg", "2", False),
        ("requests ", "requests", None, True),
    ],
)
def test_a_rule_covers_names_and_versions(rule: str, name: str, version: str | None, *, covered: bool | None) -> None:
    known = None if version is None else Version(version)
    assert parse_name_rule(rule).covers(ProjectName(name), known) is covered


@pytest.mark.parametrize(
    ("rule", "covers_all"),
    [("requests", True), ("req*", True), ("requests ", True), ("requests>=0", False), ("urllib3", False)],
)
def test_a_rule_without_versions_speaks_of_the_whole_name(rule: str, *, covers_all: bool) -> None:
    assert parse_name_rule(rule).covers_all(ProjectName("requests")) is covers_all


@pytest.mark.parametrize(
    "text",
    [
        "",
        "acme*<2",
        "requests[socks]<2",
        "requests<2; python_version < '3.9'",
        "requests @ https://example.org/requests-1.0.zip",
        "requests==banana",
        "requests<",
        "<2",
        "acme-",
    ],
)
def test_a_rule_takes_a_name_and_versions_only(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_name_rule(text)


def test_an_exemption_ends_at_its_moment() -> None:
    exemption = Exemption(parse_name_rule("requests"), "CVE fix", until=NOW)
    before = NOW - timedelta(seconds=1)
    assert exemption.covers(ProjectName("requests"), None, before)
    assert not exemption.covers(ProjectName("requests"), None, NOW)
    assert not exemption.covers(ProjectName("urllib3"), None, before)


def test_an_exemption_of_versions_leaves_out_what_has_none() -> None:
    exemption = Exemption(parse_name_rule("requests>=2.32"))
    assert exemption.covers(ProjectName("requests"), Version("2.32.1"), NOW)
    assert not exemption.covers(ProjectName("requests"), Version("2.31"), NOW)
    assert not exemption.covers(ProjectName("requests"), None, NOW)


def test_the_first_pattern_that_matches_is_named() -> None:
    patterns = [parse_name_pattern(text) for text in ("other", "acme-*", "acme-tools")]
    assert first_match(patterns, ProjectName("acme-tools")) == patterns[1]
    assert first_match(patterns, ProjectName("requests")) is None
