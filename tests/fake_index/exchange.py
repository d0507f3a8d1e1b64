"""The two values of every exchange: what was asked and what is to be answered."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from multidict import CIMultiDict, CIMultiDictProxy

if TYPE_CHECKING:
    from collections.abc import Mapping

Host = Literal["pages", "files"]

_VALIDATORS = ("If-None-Match", "If-Modified-Since")


@dataclass(frozen=True)
class Ask:
    """A request as it arrived. `path` is percent-decoded and has no query."""

    host: Host
    method: str
    path: str
    query: str = ""
    headers: CIMultiDictProxy[str] = field(default_factory=lambda: CIMultiDictProxy(CIMultiDict()))

    def unconditional(self) -> Ask:
        """The same without the headers that could make the answer a 304."""
        kept = CIMultiDict((name, value) for name, value in self.headers.items() if name.title() not in _VALIDATORS)
        return replace(self, headers=CIMultiDictProxy(kept))


@dataclass(frozen=True)
class Answer:
    """A whole answer. Content-Length is the sender's business, so that it may lie."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    def with_headers(self, **headers: str) -> Answer:
        """The same with these in addition; an underscore in a name is a hyphen."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **named})
