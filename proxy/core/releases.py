"""What may be asked of published releases: filters, orders and pages, as GitLab's packages API has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proxy.core.local import LocalFile, ReleaseStatus

_SEPARATORS = re.compile(r"[-_.]+")


class PackageType(StrEnum):
    """GitLab's; only one of them exists here."""

    COMPOSER = "composer"
    CONAN = "conan"
    DEBIAN = "debian"
    GENERIC = "generic"
    GOLANG = "golang"
    HELM = "helm"
    MAVEN = "maven"
    ML_MODEL = "ml_model"
    NPM = "npm"
    NUGET = "nuget"
    PYPI = "pypi"
    RPM = "rpm"
    RUBYGEMS = "rubygems"
    TERRAFORM_MODULE = "terraform_module"


class ReleaseOrder(StrEnum):
    CREATED_AT = "created_at"
    NAME = "name"
    VERSION = "version"
    TYPE = "type"
    PROJECT_PATH = "project_path"


class Sort(StrEnum):
    ASC = "asc"
    DESC = "desc"


class FileOrder(StrEnum):
    ID = "id"
    CREATED_AT = "created_at"
    FILE_NAME = "file_name"


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list: `number` counts from 1, `size` is how many entries a page has at most."""

    number: int = 1
    size: int = 20

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size


@dataclass(frozen=True, slots=True)
class ReleaseQuery:
    """Which releases, and in which order. Names are ordered as normalized, versions as text, equals by id.

    `words` must all occur in the normalized name; see `search_words`. `version` is a raw version; None, there and for
    `status`, asks for any.
    """

    type: PackageType = PackageType.PYPI
    words: tuple[str, ...] = ()
    version: str | None = None
    status: ReleaseStatus | None = None
    order: ReleaseOrder = ReleaseOrder.CREATED_AT
    descending: bool = False


def search_words(text: str) -> tuple[str, ...]:
    """The words of a search for a name, in the spelling of normalized names: any spelling of a name finds it.

    >>> search_words("My_Pkg  core")
    ('my-pkg', 'core')
    """
    return tuple(_SEPARATORS.sub("-", word).lower() for word in text.split())


def sort_files(files: Iterable[LocalFile], order: FileOrder, *, descending: bool = False) -> Sequence[LocalFile]:
    """Files in this order, equals by id."""
    keys = {
        FileOrder.ID: lambda file: file.id,
        FileOrder.CREATED_AT: lambda file: (file.uploaded_at, file.id),
        FileOrder.FILE_NAME: lambda file: (file.filename, file.id),
    }
    return sorted(files, key=keys[order], reverse=descending)
