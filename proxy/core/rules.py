"""Patterns and rules over names: `acme-*`, `requests`, `requests<2.32`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

from proxy.core.errors import InvalidName
from proxy.core.names import parse_project_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    from proxy.core.names import ProjectName

_PATTERN = re.compile(r"[A-Za-z0-9._*?-]+")
_SEPARATORS = re.compile(r"[-_.]+")
_WILDCARDS = re.compile(r"[*?]")


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A glob over normalized names; `text` is what the config says."""

    text: str
    glob: str

    def matches(self, name: ProjectName) -> bool:
        return fnmatchcase(name, self.glob)


@dataclass(frozen=True, slots=True)
class NameRule:
    """A pattern, or one name with the versions it speaks of."""

    pattern: NamePattern
    versions: SpecifierSet | None = None

    @property
    def text(self) -> str:
        return self.pattern.text

    def covers_all(self, name: ProjectName) -> bool:
        """Whether the rule speaks of every version of `name`."""
        return self.versions is None and self.pattern.matches(name)

    def covers(self, name: ProjectName, version: Version | None) -> bool | None:
        """Whether the rule speaks of this version; None where the version is not known."""
        if not self.pattern.matches(name):
            return False
        if self.versions is None:
            return True
        return None if version is None else self.versions.contains(version, prereleases=True)


@dataclass(frozen=True, slots=True)
class Exemption:
    """A rule that lifts `min_age`, with the reason and the moment it ends (None: never)."""

    rule: NameRule
    reason: str = ""
    until: datetime | None = None

    def covers(self, name: ProjectName, version: Version | None, now: datetime) -> bool:
        return (self.until is None or now < self.until) and self.rule.covers(name, version) is True


def parse_name_pattern(text: str) -> NamePattern:
    """A glob in any spelling of its separators; raises InvalidName, also where no name can match it (`acme-`)."""
    try:
        parse_project_name(_WILDCARDS.sub("x", text))
    except InvalidName as error:
        raise InvalidName(f"not a name pattern: {text!r}") from error
    return NamePattern(text, _SEPARATORS.sub("-", text).lower())


def parse_name_rule(text: str) -> NameRule:
    """A pattern or a requirement specifier without extras, markers or URL; raises InvalidName."""
    if _PATTERN.fullmatch(text):
        return NameRule(parse_name_pattern(text))
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise InvalidName(f"neither a name pattern nor a requirement specifier: {text!r}") from error
    if requirement.extras or requirement.marker or requirement.url:
        raise InvalidName(f"a rule takes a name and versions only: {text!r}")
    name = parse_project_name(requirement.name)
    return NameRule(NamePattern(text, name), requirement.specifier or None)


def first_match(patterns: Iterable[NamePattern], name: ProjectName) -> NamePattern | None:
    return next((pattern for pattern in patterns if pattern.matches(name)), None)
