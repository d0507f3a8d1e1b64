"""What an upstream's answer must be before anybody reads it, and what its headers tell.

The checks raise NotFound, UpstreamTrouble; `upstream` is the name that their messages give.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from proxy.core.errors import NotFound, UpstreamBroken, UpstreamTrouble
from proxy.core.model import Validators
from proxy.core.parse import parse_detail
from proxy.core.retry_after import parse_retry_after
from proxy.core.serials import SERIAL_HEADER, parse_serial
from proxy.ports import FetchedPage

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

    from proxy.core.names import ProjectName
    from proxy.core.ranges import ByteRange
    from proxy.core.reach import Reach

_PARSE_INLINE = 32 * 1024
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses by which a server says that the same request may be answered another time."""
NO_HEAD = frozenset({405, 501})
"""Statuses by which a server says that it answers no HEAD."""
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)


class Denial(UpstreamTrouble):
    """An answer that would be the same another time."""


def check_status(response: aiohttp.ClientResponse, upstream: str, expected: int) -> None:
    if response.status in {404, 410}:
        raise NotFound("404 Not Found")
    if response.status == expected:
        return
    trouble = UpstreamTrouble if response.status in _PASSING else Denial
    message = f"the upstream {upstream} answered {response.status} for a file"
    raise trouble(message, retry_after=retry_after(response))


def check_file(response: aiohttp.ClientResponse, upstream: str, wanted: ByteRange | None) -> None:
    """The answer holds the file, or exactly the wanted range of it."""
    if wanted is not None and response.status == 200:
        raise UpstreamBroken(f"the upstream {upstream} sends no ranges")
    check_status(response, upstream, 200 if wanted is None else 206)
    _check_not_encoded(response, upstream)
    if wanted is not None and _content_range(response)[:2] != wanted:
        raise UpstreamBroken(f"the upstream {upstream} sent another range than asked for")


def check_head(response: aiohttp.ClientResponse, upstream: str) -> None:
    """The answer tells of the file, or that nothing is told without it."""
    if response.status not in NO_HEAD:
        check_file(response, upstream, None)


def check_rest(response: aiohttp.ClientResponse, upstream: str, first: int, size: int | None) -> None:
    """The answer holds the file to its end, from `first` or from the start; its size is the known one."""
    if response.status == 416:
        raise UpstreamBroken(f"the upstream {upstream} has another file by now")
    check_status(response, upstream, 206 if response.status == 206 else 200)
    _check_not_encoded(response, upstream)
    if response.status == 206:
        began, last, total = _content_range(response)
        if began != first or (total is not None and total != last + 1):
            raise UpstreamBroken(f"the upstream {upstream} sent another range than asked for")
        told: int | None = last + 1
    else:
        told = response.content_length
    if size is not None and told is not None and told != size:
        raise UpstreamBroken(f"the upstream {upstream} has another file by now")


def check_page_status(response: aiohttp.ClientResponse, upstream: str, name: ProjectName, *expected: int) -> None:
    """What may pass speaks for the whole upstream, another unexpected status (UpstreamBroken) for this page alone."""
    if response.status not in expected:
        trouble = UpstreamTrouble if response.status in _PASSING else UpstreamBroken
        raise trouble(
            f"the upstream {upstream} answered {response.status} for {name}", retry_after=retry_after(response)
        )


async def parse_page(
    response: aiohttp.ClientResponse, body: bytearray, name: ProjectName, reach: Reach
) -> FetchedPage:
    """The page in an answer; raises UpstreamBroken."""

    def parse() -> FetchedPage:
        content_type = response.headers.get("Content-Type", "")
        detail = parse_detail(body, content_type, url=str(response.url), name=name, may_link=reach.allows)
        serial = parse_serial(response.headers.get(SERIAL_HEADER), body, content_type)
        return FetchedPage(detail, _validators(response.headers), serial)

    return parse() if len(body) <= _PARSE_INLINE else await asyncio.to_thread(parse)


async def is_json_object(response: aiohttp.ClientResponse, body: bytearray) -> bool:
    """Whether the body says that it is a JSON object, and is one."""

    def parses() -> bool:
        try:
            msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return False
        return True

    if not response.content_type.endswith(("/json", "+json")):
        return False
    return parses() if len(body) <= _PARSE_INLINE else await asyncio.to_thread(parses)


def retry_after(response: aiohttp.ClientResponse) -> float | None:
    """In how many seconds the upstream wants to be asked again; None where it does not tell."""
    return parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))


def _check_not_encoded(response: aiohttp.ClientResponse, upstream: str) -> None:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise UpstreamBroken(f"the upstream {upstream} sent a file encoded")


def _content_range(response: aiohttp.ClientResponse) -> tuple[int, int, int | None]:
    """First byte, last byte and size of the whole (None: not told) of a 206; (-1, -1, None) for what says nothing."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None:
        return -1, -1, None
    first, last, total = match.groups()
    return int(first), int(last), None if total == "*" else int(total)


def _validators(headers: Mapping[str, str]) -> Validators:
    """Only what can be sent back as it came (RFC 9110 section 5.5)."""
    etag, last_modified = headers.get("ETag"), headers.get("Last-Modified")
    return Validators(etag if _sendable(etag) else None, last_modified if _sendable(last_modified) else None)


def _sendable(value: str | None) -> bool:
    return value is not None and value.isascii() and value.isprintable()
