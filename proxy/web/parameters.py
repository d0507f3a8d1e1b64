"""Query parameters as GitLab's API reads them: each has a default, an empty one counts as absent, all faults are told
at once and in GitLab's words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from proxy.core.errors import InvalidParameters
from proxy.core.releases import Page

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import StrEnum

    E = TypeVar("E", bound=StrEnum)

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
"""A larger `per_page` gives as many."""
_INTEGER = re.compile(r"-?[0-9]{1,15}")
_FLAGS = {
    **dict.fromkeys(("1", "t", "true", "y", "yes", "on"), True),
    **dict.fromkeys(("0", "f", "false", "n", "no", "off"), False),
}


class Parameters:
    """Reads the parameters of one query. What is wrong gives the default until `check` raises."""

    def __init__(self, query: Mapping[str, str]) -> None:
        self._query = query
        self._faults: list[str] = []

    def text(self, name: str) -> str | None:
        return self._query.get(name, "").strip() or None

    def flag(self, name: str) -> bool:
        value = (self.text(name) or "false").lower()
        if value not in _FLAGS:
            self._faults.append(f"{name} is invalid")
        return _FLAGS.get(value, False)

    def choice(self, name: str, default: E) -> E:
        """One of the values that the default's type has."""
        return self.find_choice(name, type(default)) or default

    def find_choice(self, name: str, choices: type[E]) -> E | None:
        value = self.text(name)
        if value is None:
            return None
        if value not in {each.value for each in choices}:
            self._faults.append(f"{name} does not have a valid value")
            return None
        return choices(value)

    def page(self) -> Page:
        """`page` and `per_page`."""
        size = self._positive("per_page", DEFAULT_PAGE_SIZE)
        return Page(self._positive("page", 1), min(size, MAX_PAGE_SIZE))

    def check(self) -> None:
        """Raises InvalidParameters with every fault."""
        if self._faults:
            raise InvalidParameters(", ".join(self._faults))

    def _positive(self, name: str, default: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        if not _INTEGER.fullmatch(value):
            self._faults.append(f"{name} is invalid")
            return default
        if int(value) < 1:
            self._faults.append(f"{name} does not have a valid value")
            return default
        return int(value)
