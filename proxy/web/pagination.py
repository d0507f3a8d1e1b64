"""GitLab's offset pagination: how many there are, and where the other pages lie (RFC 8288)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.web.site import SITE

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.core.releases import Page


def base_url(request: web.Request) -> str:
    """The server's address as others see it, without a slash at its end."""
    return request[SITE].external_url or f"{request.scheme}://{request.host}"


def pagination(request: web.Request, page: Page, total: int) -> dict[str, str]:
    """The headers of one page of a list of `total`. Beyond the last page there is neither a next nor a previous."""
    pages = max(1, -(-total // page.size))
    before = page.number - 1 if 1 < page.number <= pages else None
    after = page.number + 1 if page.number < pages else None
    links = {"prev": before, "next": after, "first": 1, "last": pages}
    return {
        "Link": ", ".join(_link(request, page, number, rel) for rel, number in links.items() if number is not None),
        "X-Next-Page": str(after or ""),
        "X-Page": str(page.number),
        "X-Per-Page": str(page.size),
        "X-Prev-Page": str(before or ""),
        "X-Total": str(total),
        "X-Total-Pages": str(pages),
    }


def _link(request: web.Request, page: Page, number: int, rel: str) -> str:
    """The same query, without a secret in it, at another page."""
    query = request.rel_url.without_query_params("private_token")
    at_page = query.update_query(page=str(number), per_page=str(page.size))
    return f'<{base_url(request)}{at_page.raw_path_qs}>; rel="{rel}"'
