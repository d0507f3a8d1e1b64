"""Cached pages of upstreams: what freshness asks in one row, the detail itself in another."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from proxy.core.model import PageEntry, Validators
from proxy.ports import PageFacts, PageVersion
from proxy.sqlite.columns import from_instant, to_instant
from proxy.sqlite.database import Tables
from proxy.sqlite.page_codec import BrokenDetail, decode_detail, encode_detail

if TYPE_CHECKING:
    from proxy.core.names import ProjectName

_log = logging.getLogger(__name__)

_FIND: Final = """
    SELECT detail, etag, last_modified, links, serial, checked_at
    FROM pages JOIN page_details ON page_id = pages.id
    WHERE upstream = ? AND name = ?
"""

_FIND_FACTS: Final = """
    SELECT etag, last_modified, links, serial, checked_at FROM pages WHERE upstream = ? AND name = ?
"""

_SAVE: Final = """
    INSERT INTO pages (upstream, name, etag, last_modified, links, serial, size, checked_at)
    VALUES (:upstream, :name, :etag, :last_modified, :links, :serial, :size, :checked_at)
    ON CONFLICT (upstream, name) DO UPDATE SET
      etag = excluded.etag,
      last_modified = excluded.last_modified,
      links = excluded.links,
      serial = excluded.serial,
      size = excluded.size,
      checked_at = excluded.checked_at
    RETURNING id
"""

# Pages with the same validators, links and serial are the same page.
_CONFIRM: Final = """
    UPDATE pages SET checked_at = :checked_at
    WHERE upstream = :upstream AND name = :name
      AND etag IS :etag AND last_modified IS :last_modified AND links = :links AND serial IS :serial
    RETURNING id
"""

_SAVE_DETAIL: Final = """
    INSERT INTO page_details (page_id, detail) VALUES (?, ?)
    ON CONFLICT (page_id) DO UPDATE SET detail = excluded.detail
"""


class SqlitePages(Tables):
    """PageStore. No write is durable: a page that a power cut takes is fetched again."""

    async def find_page(self, upstream: str, name: ProjectName) -> PageEntry | None:
        rows = await self._database.read(_FIND, (upstream, name))
        if not rows:
            return None
        (row,) = rows
        try:
            detail = await decode_detail(row["detail"])
        except BrokenDetail:
            # Fetched again, it heals; a page in the words of another version is no reason to fail.
            _log.warning("the cached page of %s from %s cannot be read; it will be fetched again", name, upstream)
            return None
        validators = Validators(row["etag"], row["last_modified"])
        return PageEntry(upstream, detail, validators, to_instant(row["checked_at"]), row["links"], row["serial"])

    async def find_page_facts(self, upstream: str, name: ProjectName) -> PageFacts | None:
        rows = await self._database.read(_FIND_FACTS, (upstream, name))
        if not rows:
            return None
        (row,) = rows
        version = PageVersion(Validators(row["etag"], row["last_modified"]), row["links"], row["serial"])
        return PageFacts(to_instant(row["checked_at"]), version)

    async def save_page(self, entry: PageEntry) -> None:
        detail = await encode_detail(entry.detail)
        async with self._database.transaction(durable=False) as transaction:
            [(page_id,)] = await transaction.execute(_SAVE, {**_facts(entry), "size": len(detail)})
            await transaction.execute(_SAVE_DETAIL, (page_id, detail))

    async def confirm_page(self, entry: PageEntry) -> bool:
        async with self._database.transaction(durable=False) as transaction:
            return bool(await transaction.execute(_CONFIRM, _facts(entry)))

    async def delete_page(self, upstream: str, name: ProjectName) -> None:
        async with self._database.transaction(durable=False) as transaction:
            await transaction.execute("DELETE FROM pages WHERE upstream = ? AND name = ?", (upstream, name))


def _facts(entry: PageEntry) -> dict[str, str | int | None]:
    return {
        "upstream": entry.upstream,
        "name": entry.detail.name,
        "etag": entry.validators.etag,
        "last_modified": entry.validators.last_modified,
        "links": entry.links,
        "serial": entry.serial,
        "checked_at": from_instant(entry.checked_at),
    }
