"""What a file name says of its distribution: project, version, kind (the binary distribution format, PEP 625)."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from proxy.core.errors import InvalidName
from proxy.core.names import Filename, ProjectName, parse_project_name

if TYPE_CHECKING:
    from collections.abc import Iterator

_SDIST_SUFFIXES = (".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar.z", ".tar")
_VERSION_STARTS = re.compile(r"-(?=v?\d)", re.IGNORECASE)


class Kind(StrEnum):
    WHEEL = "bdist_wheel"
    SDIST = "sdist"


class Distribution(NamedTuple):
    project: ProjectName
    version: Version
    kind: Kind


def parse_distribution(filename: Filename) -> Distribution:
    """The distribution that a wheel's or sdist's name states; raises InvalidName for any other name."""
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
            return Distribution(ProjectName(name), version, Kind.WHEEL)
        name, version = parse_sdist_filename(filename)
        return Distribution(ProjectName(name), version, Kind.SDIST)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion) as error:
        raise InvalidName(f"not the name of a wheel or sdist: {filename!r}") from error


def version_of(filename: str, project: ProjectName) -> Version | None:
    """The version that a listed file of a known project has, or None where its name does not tell.

    Pages list what the grammar does not cover (eggs, installers, odd sdists), so the project's name is the guide.
    """
    for candidate, rest in _splits(filename):
        if candidate == project:
            return _leading_version(rest, filename)
    return None


def candidate_projects(filename: Filename) -> tuple[ProjectName, ...]:
    """The projects a file of this name may belong to, the likeliest first.

    A wheel's name is unambiguous; an sdist's may hold dashes on both sides, so each split is a candidate.
    """
    if filename.endswith(".whl"):
        return (parse_project_name(filename.split("-", 1)[0]),)
    return tuple(dict.fromkeys(candidate for candidate, _ in _splits(filename)))


def _splits(filename: str) -> Iterator[tuple[ProjectName, str]]:
    """(project, rest) at each dash that a version may follow, the last dash first."""
    for match in reversed(list(_VERSION_STARTS.finditer(filename))):
        try:
            yield parse_project_name(filename[: match.start()]), filename[match.end() :]
        except InvalidName:
            continue


def _leading_version(rest: str, filename: str) -> Version | None:
    stem = rest
    if filename.endswith(".whl"):
        stem = rest.split("-", 1)[0]
    for suffix in _SDIST_SUFFIXES:
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    for text in (stem, stem.split("-", 1)[0]):
        try:
            return Version(text)
        except InvalidVersion:
            continue
    return None
