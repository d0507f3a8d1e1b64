"""What each HTML answer bears: a page of links and words needs nothing that a browser could run, load or frame."""

from __future__ import annotations

from typing import Final

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
