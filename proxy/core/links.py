"""The links of one page: made absolute, and judged by where they lead."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from yarl import URL

from proxy.core.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable

# An absolute link that needs no second look: its path is of RFC 3986's pchars, without query, fragment or credentials.
_PLAIN = re.compile(r"(https?://[a-z0-9.-]+(?::\d{1,5})?)/[!$%-;=@-Z_a-z~]*", re.ASCII)


class BadLink(InvalidInput):
    """A link that may not be followed; the message says why. It never leaves the parser."""


class Links:
    """Resolves what the page at `url` links to. `may_link` is asked once for each origin (scheme, host and port)."""

    def __init__(self, url: str, may_link: Callable[[URL], bool], *, base: str = "") -> None:
        """`base` is the page's own `<base href>` (RFC 3986 section 5.1.1); one that is no http(s) URL is ignored."""
        self._base = URL(url)
        self._may_link = may_link
        self._allowed: dict[str, bool] = {}
        if base:
            with suppress(BadLink):
                self._base = self._joined(base)

    def resolve(self, link: str) -> str:
        """`link` as an absolute URL without fragment and credentials; raises BadLink where it may not lead there."""
        if plain := _PLAIN.fullmatch(link):
            url, origin = link, plain[1]
        else:
            joined = self._joined(link)
            url, origin = str(joined), str(joined.origin())
        if origin not in self._allowed:
            self._allowed[origin] = self._allows(origin)
        if not self._allowed[origin]:
            raise BadLink(f"its link leads to {origin}, which is not a host of this upstream")
        return url

    def _joined(self, link: str) -> URL:
        try:
            url = self._base.join(URL(link))
        except ValueError as error:
            raise BadLink(f"its link is not a URL: {error}") from error
        if url.scheme not in {"http", "https"} or not url.host:
            raise BadLink("its link is not an http or https URL")
        return url.with_fragment(None).with_user(None)

    def _allows(self, origin: str) -> bool:
        try:
            return self._may_link(URL(origin))
        except ValueError:  # a host or port that no URL can have
            return False
