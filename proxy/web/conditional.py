"""Conditional requests (RFC 9110 section 13) against strong entity tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web


def not_modified(request: web.Request, etag: str) -> bool:
    """Whether `If-None-Match` names this entity tag (weakly compared) or any."""
    header = request.headers.get("If-None-Match")
    if header is None:
        return False
    named = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return etag in named or "*" in named


def range_applies(request: web.Request, etag: str) -> bool:
    """Whether `If-Range` lets the range stand: absent, or exactly this entity tag (no dates are ever sent)."""
    header = request.headers.get("If-Range")
    return header is None or header.strip() == etag
