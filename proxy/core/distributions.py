"""What a file name says of its distribution: project, version, kind (the binary distribution format, PEP 625)."""

from __future__ import annotations

import re
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from proxy.core.errors import InvalidName
from proxy.core.names import Filename, ProjectName, parse_project_name

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CANDIDATES = 5
"""Each candidate may cost a request upstream, and a name can hold a hundred dashes."""
_SDIST_SUFFIXES = (".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar.z", ".tar")
_VERSION_STARTS = re.compile(r"-(?=v?[0-9])", re.IGNORECASE)
_ODD_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


class Kind(StrEnum):
    WHEEL = "bdist_wheel"
    SDIST = "sdist"


class Distribution(NamedTuple):
    project: ProjectName
    version: Version
    kind: Kind


def parse_distribution(filename: Filename) -> Distribution:
    """The distribution that a wheel's or sdist's name states; raises InvalidName for any other name.

    An sdist's name from before PEP 625 may have dashes on both sides. The last split that leaves a version counts,
    so `foo-1.0-1.tar.gz` is version 1 of foo-1-0: who knows the project asks `version_of`.
    """
    return _parse_wheel(filename) if filename.endswith(".whl") else _parse_sdist(filename)


def version_of(filename: str, project: ProjectName) -> Version | None:
    """The version that a listed file of a known project has, or None where its name does not tell.

    Pages list what the grammar does not cover (eggs, installers, odd sdists), so the project's name is the guide.
    """
    for candidate, rest in _splits(filename):
        if candidate == project:
            stem = _sdist_stem(rest)
            return _find_version(rest.split("-", 1)[0] if stem is None else stem)
    return None


def candidate_projects(filename: Filename) -> tuple[ProjectName, ...]:
    """The projects a file of this name may belong to, the likeliest first, at most MAX_CANDIDATES.

    A wheel's name is unambiguous; an sdist's may hold dashes on both sides, so each split is a candidate. PyPI has
    files that name no version (`mkey.zip`, `scikit-highs-('0.6.0',).tar.gz`): theirs are guessed.
    """
    names_version = _VERSION_STARTS.search(filename) is not None
    projects = (project for project, _ in _splits(filename)) if names_version else _guesses(filename)
    return tuple(islice(dict.fromkeys(projects), MAX_CANDIDATES))


def _parse_wheel(filename: Filename) -> Distribution:
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise InvalidName(f"not the name of a wheel: {filename!r}") from error
    return Distribution(parse_project_name(name), version, Kind.WHEEL)


def _parse_sdist(filename: Filename) -> Distribution:
    for project, text in _splits(_sdist_stem(filename) or ""):
        if (version := _find_version(text)) is not None:
            return Distribution(project, version, Kind.SDIST)
    raise InvalidName(f"not the name of a wheel or sdist: {filename!r}")


def _splits(filename: str) -> Iterator[tuple[ProjectName, str]]:
    """(project, rest) at each dash that a version may follow: a wheel's first one, else the last one first."""
    dashes = [match.start() for match in _VERSION_STARTS.finditer(filename)]
    for dash in dashes[:1] if filename.endswith(".whl") else reversed(dashes):
        if (project := _find_project(filename[:dash])) is not None:
            yield project, filename[dash + 1 :]


def _guesses(filename: Filename) -> Iterator[ProjectName]:
    """What stands before each dash, the last dash first, then all but the suffix."""
    stem = _sdist_stem(filename) or filename.rpartition(".")[0]
    dashes = [match.start() for match in re.finditer("-", filename)]
    for text in (*(filename[:dash] for dash in reversed(dashes)), stem):
        if (project := _find_project(text)) is not None:
            yield project


def _find_project(text: str) -> ProjectName | None:
    """Older build tools left a name's spaces in the file name; the project's name has dashes there."""
    try:
        return parse_project_name(_ODD_IN_NAMES.sub("-", text))
    except InvalidName:
        return None


def _find_version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _sdist_stem(text: str) -> str | None:
    """`text` without an sdist's suffix in any case, or None where it has none."""
    lowered = text.lower()
    return next((text[: -len(suffix)] for suffix in _SDIST_SUFFIXES if lowered.endswith(suffix)), None)
