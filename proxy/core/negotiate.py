"""Which form of an answer suits a request: a page's representation (PEP 691), its content coding (RFC 9110, 12.5).

Headers are read leniently: an element that is malformed is passed over, and a header with no sound element counts as
absent. Only the first elements are read, so that a long header costs no more than a short one.
"""

from __future__ import annotations

import re
from enum import Enum

from proxy.core.errors import NotAcceptable

_MAX_ELEMENTS = 64
_MAX_ELEMENT = 256  # characters; the longest real media range with its parameters has about 60
_RANGE = re.compile(r"[a-z0-9!#$%&'*+.^_`|~/-]+")
_WEIGHT = re.compile(r"0?\.\d+|0\.?|1(?:\.0*)?", re.ASCII)  # uv leaves the leading zero out


class Representation(Enum):
    """The forms of a page, by media type. Among equals the first wins, as on PyPI: tools that scrape say `*/*`."""

    HTML = "text/html"
    HTML_V1 = "application/vnd.pypi.simple.v1+html"
    JSON = "application/vnd.pypi.simple.v1+json"

    @property
    def content_type(self) -> str:
        """The value of `Content-Type`: always the concrete version, never `latest`."""
        return "text/html; charset=utf-8" if self is Representation.HTML else self.value


class Encoding(Enum):
    """The content codings of pages, by their token in `Content-Encoding`; the first is preferred among equals."""

    ZSTD = "zstd"
    GZIP = "gzip"
    IDENTITY = "identity"

    @property
    def token(self) -> str:
        return self.value


_NAMES = {
    **{representation.value: representation for representation in Representation},
    "application/vnd.pypi.simple.latest+html": Representation.HTML_V1,
    "application/vnd.pypi.simple.latest+json": Representation.JSON,
}
_OFFERED = ", ".join(representation.value for representation in Representation)


def choose_representation(accept: str | None, format_: str | None) -> Representation:
    """The representation for an `Accept` header and the `format` parameter of the query, which overrides it.

    No header, an empty one and `*/*` mean text/html. Raises NotAcceptable where no representation is acceptable, or
    `format_` names none.
    """
    if format_ is not None:
        return _named(format_)
    weights = _weights(accept)
    if not weights:
        return Representation.HTML
    best = max(Representation, key=lambda representation: _quality(representation, weights))
    if not _quality(best, weights):
        raise NotAcceptable(f"406 Not Acceptable - this page comes as {_OFFERED}")
    return best


def choose_encoding(accept_encoding: str | None) -> Encoding:
    """The content coding for an `Accept-Encoding` header; identity where nothing else is asked for.

    Identity is also the answer where everything is excluded: RFC 9110 section 12.5.3 allows no better one.
    """
    weights = _weights(accept_encoding)
    if "x-gzip" in weights:  # RFC 9110 section 8.4.1.3: the same as gzip
        weights.setdefault("gzip", weights["x-gzip"])
    default = weights.get("*", 0.0)
    best = max(Encoding, key=lambda encoding: weights.get(encoding.value, default))
    return best if weights.get(best.value, default) else Encoding.IDENTITY


def prefers_html(accept: str | None) -> bool:
    """Whether `accept` names text/html with the highest q, as browsers do (errors are JSON for everyone else)."""
    weights = _weights(accept)
    html = weights.get("text/html", 0.0)
    return html > 0 and html == max(weights.values())


def _named(format_: str) -> Representation:
    # A "+" that was not percent-encoded, as in PEP 691's own example, arrives as a space.
    representation = _NAMES.get(format_.strip().replace(" ", "+").lower())
    if representation is None:
        raise NotAcceptable(f"406 Not Acceptable - `format` is one of {_OFFERED}")
    return representation


def _quality(representation: Representation, weights: dict[str, float]) -> float:
    """The q of the most specific ranges that match (RFC 9110 section 12.5.1); 0 where none does."""
    exact = [weights[name] for name, meant in _NAMES.items() if meant is representation and name in weights]
    if exact:
        return max(exact)
    family = representation.value.partition("/")[0] + "/*"
    return weights.get(family, weights.get("*/*", weights.get("*", 0.0)))


def _weights(header: str | None) -> dict[str, float]:
    """The sound elements of a header, lower-cased, with their q; the highest q where an element is repeated."""
    weights: dict[str, float] = {}
    for element in (header or "").split(",", _MAX_ELEMENTS)[:_MAX_ELEMENTS]:
        if len(element) > _MAX_ELEMENT:
            continue
        name, *parameters = (part.strip() for part in element.lower().split(";"))
        weight = _weight(parameters)
        if weight is not None and _RANGE.fullmatch(name):
            weights[name] = max(weight, weights.get(name, 0.0))
    return weights


def _weight(parameters: list[str]) -> float | None:
    """The q among an element's parameters, 1 where there is none, None where it is malformed."""
    for parameter in parameters:
        if parameter.startswith("q="):
            text = parameter.removeprefix("q=")
            return float(text) if _WEIGHT.fullmatch(text) else None
    return 1.0
