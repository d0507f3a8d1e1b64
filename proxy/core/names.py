"""Names as types: what went through these functions needs no second look.

`ProjectName` is normalized (PEP 503). `Filename` is one safe path component: it can be joined to a directory, put into
a quoted header value or, percent-encoded, into a URL path without any further check. `GroupPath` is GitLab's path of
a group or project.
"""

from __future__ import annotations

import re
from typing import NewType

from packaging.utils import InvalidName as PackagingInvalidName
from packaging.utils import canonicalize_name

from proxy.core.errors import InvalidName

ProjectName = NewType("ProjectName", str)
Filename = NewType("Filename", str)
GroupPath = NewType("GroupPath", str)

MAX_PROJECT_NAME = 200
MAX_FILENAME = 255  # bytes: what common file systems take
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_UNSAFE_IN_FILENAME = re.compile(r'[/\\:*?"<>|]')  # for a path, a header or a Windows client
_RESERVED_SUFFIXES = (".metadata", ".provenance", ".asc")


def parse_project_name(text: str) -> ProjectName:
    """The normalized form of `text`; raises InvalidName unless it is a valid PEP 508 name.

    >>> parse_project_name("My.Pkg__x")
    'my-pkg-x'
    """
    if len(text) > MAX_PROJECT_NAME:
        raise InvalidName(f"a project name has at most {MAX_PROJECT_NAME} characters")
    try:
        return ProjectName(canonicalize_name(text, validate=True))
    except PackagingInvalidName as error:
        raise InvalidName(f"not a project name: {text!r}") from error


def parse_filename(text: str) -> Filename:
    """`text` as one safe path component with an extension; raises InvalidName.

    PyPI lists names with spaces, quotes, brackets, `%` and `#`: those pass. Controls, invisible characters and what
    a shell would take for an option or a hidden file do not. Names that end like a companion (`.metadata`,
    `.provenance`, `.asc`) would shadow another file's companion.
    """
    if (
        _UNSAFE_IN_FILENAME.search(text)
        or len(text.encode(errors="replace")) > MAX_FILENAME
        or not text.isprintable()
        or text.startswith((".", "-", " "))
        or text.endswith((".", " "))
        or "." not in text
    ):
        raise InvalidName(f"not a file name: {text[:MAX_FILENAME]!r}")
    if text.lower().endswith(_RESERVED_SUFFIXES):
        raise InvalidName(f"a file name must not end like a companion file: {text!r}")
    return Filename(text)


def parse_group_path(text: str) -> GroupPath:
    """`text` as the path of a group or project (`acme/ml`); raises InvalidName."""
    segments = text.split("/")
    if not all(_SEGMENT.fullmatch(segment) and not segment.endswith((".", "-")) for segment in segments):
        raise InvalidName(f"not a path of a group or project: {text!r}")
    return GroupPath(text)


def parent_path(path: GroupPath) -> GroupPath | None:
    """The path one level up, or None at the top."""
    head, slash, _ = path.rpartition("/")
    return GroupPath(head) if slash else None


def root_path(path: GroupPath) -> GroupPath:
    """The top-level group's path."""
    return GroupPath(path.split("/", 1)[0])
