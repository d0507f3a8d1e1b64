"""The pages of upstreams as they are kept: all in the store, those in use decoded in memory, with the absent names.

A store in trouble is no reason to fail: what cannot be read is fetched, what cannot be kept is served all the same.
A long page is served before it is stored; a kill between the two costs fetching it again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cachetools import LRUCache
from msgspec.structs import replace

from proxy.core import packed
from proxy.core.digests import Sha256
from proxy.core.errors import StorageTrouble
from proxy.core.packed import PackedFiles
from proxy.ports import CoreMetadataStore, PageStore
from proxy.services.aside import Aside

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from proxy.core.model import File, PageEntry
    from proxy.core.names import ProjectName
    from proxy.core.packed import Chunk
    from proxy.ports import PageFacts
    from proxy.services.absences import Absences

logger = logging.getLogger(__name__)

MAX_IN_MEMORY = 32 * 1024 * 1024
"""Bytes of pages held in memory, PyPI's largest takes 18 MB; the store keeps the rest."""
MAX_ABSENT = 10_000
"""Names remembered as absent, about 300 bytes each."""

_revisions = count()


class PageKey(NamedTuple):
    upstream: str
    name: ProjectName


class PageAndMetadataStore(PageStore, CoreMetadataStore, Protocol):
    """What the pages are kept in."""


@dataclass(frozen=True)
class CachedPage:
    """A page in memory.

    `core_metadata` is what was read out of its wheels here, by the wheel's digest. `revision` is another for each
    content: what was rendered from it can be kept under it.
    """

    entry: PageEntry
    core_metadata: Mapping[Sha256, Sha256] = field(default_factory=dict)
    revision: int = field(default_factory=lambda: next(_revisions))

    @cached_property
    def files(self) -> Sequence[File]:
        """The upstream's files; core metadata, its own or what we read, is offered with a sha256 or not at all."""
        return packed.revise(self.entry.detail.files, self._shown, self._concerns)

    def find(self, sha256: Sha256, filename: str) -> File | None:
        files = self.entry.detail.files
        if isinstance(files, PackedFiles):
            return files.find(sha256, filename)
        file = self._by_name.get(filename)
        return file if file is not None and file.sha256 == sha256 else None

    @cached_property
    def _by_name(self) -> Mapping[str, File]:
        return {file.filename: file for file in self.entry.detail.files}

    def _concerns(self, chunk: Chunk) -> bool:
        return chunk.hopes or bool(self.core_metadata)

    def _shown(self, file: File) -> File:
        known = self.core_metadata.get(file.sha256)
        if promised_metadata(file) or (known is None and not file.core_metadata):
            return file
        return replace(file, core_metadata={"sha256": known} if known else False)


def promised_metadata(file: File) -> Sha256 | None:
    """The sha256 of the core metadata that the upstream offers; a promise without one could not be kept (PEP 714)."""
    promise = file.core_metadata
    return None if isinstance(promise, bool) or "sha256" not in promise else Sha256(promise["sha256"])


class CachedPages:
    """Pages by upstream and name. One that is over the whole bound of memory stays in the store alone.

    `changes` grows with each page that becomes another.
    """

    def __init__(self, store: PageAndMetadataStore, absences: Absences | None = None) -> None:
        self._store = store
        self._memory: LRUCache[PageKey, CachedPage] = LRUCache(MAX_IN_MEMORY, getsizeof=_memory_of)
        self._absences = absences
        self._absent_since: LRUCache[PageKey, datetime] = LRUCache(MAX_ABSENT)
        self._aside: Aside[PageKey] = Aside()
        self.changes = 0

    def is_absent(self, key: PageKey, ttl: timedelta, now: datetime) -> bool:
        """Whether the upstream said within `ttl` that it has no such project."""
        since = self._absent_since.get(key)
        return since is not None and timedelta(0) <= now - since < ttl

    def forget_absent(self) -> None:
        """Ask for all names again."""
        self.changes += 1
        self._absent_since.clear()

    def held(self, key: PageKey) -> CachedPage | None:
        """The page in memory."""
        return self._memory.get(key)

    async def find(self, key: PageKey) -> CachedPage | None:
        if (page := self._memory.get(key)) is not None:
            return page
        absent_since = self._absent_since.get(key)
        await self._aside.settle(key)
        page = await self._read(key)
        # An answer of the upstream may have come while the store was read; it counts.
        if key in self._memory or self._absent_since.get(key) != absent_since:
            return self._memory.get(key)
        if page is not None:
            self._hold(key, page)
        return page

    async def catch_up(self, key: PageKey, page: CachedPage | None) -> CachedPage | None:
        """The page as other processes have heard of it since; it is in memory from now on, and so is its absence."""
        before = self._memory.get(key)
        absent_since = self._absences.since(*key) if self._absences else None
        newer = await self._find_newer(key, page)
        if self._memory.get(key) is not before:  # an answer of the upstream came here meanwhile
            return self._memory.get(key)
        checked_at = newer.entry.checked_at if newer else None
        if absent_since is not None and (checked_at is None or checked_at < absent_since):
            self.changes += 1
            self._absent_since[key] = absent_since
            self._memory.pop(key, None)
            return None
        if newer is not None and newer is not page:
            self._absent_since.pop(key, None)
            self._hold(key, newer)
        return newer

    async def keep(self, key: PageKey, entry: PageEntry) -> CachedPage:
        """Replace the page by what the upstream sent."""
        known = await self._list_core_metadata(key)
        held = self._memory.get(key)  # and what was learnt while the store was read
        page = CachedPage(entry, {**known, **held.core_metadata} if held else known)
        self._absent_since.pop(key, None)
        if self._absences:
            self._absences.end(*key, entry.checked_at)
        self._hold(key, page)
        if len(entry.detail.files) > packed.MAX_LOOSE:
            await self._aside.put(key, lambda: self._save(entry))
        else:
            await self._aside.settle(key)
            await self._save(entry)
        return page

    async def settle(self, key: PageKey) -> None:
        """Until the page that was kept last is in the store, where others find it."""
        await self._aside.settle(key)

    async def close(self) -> None:
        """Store what is left."""
        await self._aside.close()

    async def confirm(self, key: PageKey, page: CachedPage, now: datetime) -> CachedPage:
        """The page, confirmed unchanged by the upstream."""
        current = self._memory.get(key, page)  # what was learnt of its wheels meanwhile stays
        confirmed = CachedPage(replace(page.entry, checked_at=now), current.core_metadata, current.revision)
        self._hold(key, confirmed)
        await self._aside.settle(key)
        try:
            if not await self._store.confirm_page(confirmed.entry):  # it was evicted, or the disk did not take it
                await self._store.save_page(confirmed.entry)
        except StorageTrouble as error:
            logger.warning("cannot note that the page of %s is unchanged: %s", key.name, error)
        return confirmed

    async def forget(self, key: PageKey, now: datetime) -> None:
        """Drop the page: the upstream has no such project."""
        self.changes += 1
        self._absent_since[key] = now
        if self._absences:
            self._absences.note(*key, now)
        self._memory.pop(key, None)
        await self._aside.settle(key)
        try:
            await self._store.delete_page(*key)
        except StorageTrouble as error:
            logger.warning("cannot forget the page of %s: %s", key.name, error)

    async def learn(self, key: PageKey, wheel: Sha256, metadata: Sha256) -> None:
        """Note what a wheel's core metadata is, and show it on the page from now on; raises StorageTrouble."""
        await self._store.save_core_metadata(*key, wheel, metadata)
        if (page := self._memory.get(key)) is not None:
            self._hold(key, CachedPage(page.entry, {**page.core_metadata, wheel: metadata}))

    async def _save(self, entry: PageEntry) -> None:
        try:
            await self._store.save_page(entry)
        except StorageTrouble as error:
            logger.warning("cannot keep the page of %s: %s", entry.detail.name, error)

    async def _find_newer(self, key: PageKey, page: CachedPage | None) -> CachedPage | None:
        """The stored page where it was confirmed later than `page`, which it is otherwise."""
        try:
            facts = await self._store.find_page_facts(*key)
        except StorageTrouble as error:
            logger.warning("cannot read the cached page of %s: %s", key.name, error)
            return page
        if facts is None or (page is not None and facts.checked_at <= page.entry.checked_at):
            return page
        if page is not None and _is_same(page.entry, facts):
            return CachedPage(replace(page.entry, checked_at=facts.checked_at), page.core_metadata, page.revision)
        return await self._read(key) or page

    async def _read(self, key: PageKey) -> CachedPage | None:
        try:
            entry = await self._store.find_page(*key)
        except StorageTrouble as error:
            logger.warning("cannot read the cached page of %s: %s", key.name, error)
            return None
        return CachedPage(entry, await self._list_core_metadata(key)) if entry else None

    async def _list_core_metadata(self, key: PageKey) -> Mapping[Sha256, Sha256]:
        try:
            return await self._store.list_core_metadata(*key)
        except StorageTrouble as error:
            logger.warning("cannot read what is known of the wheels of %s: %s", key.name, error)
            return {}

    def _hold(self, key: PageKey, page: CachedPage) -> None:
        self.changes += 1
        if _memory_of(page) <= MAX_IN_MEMORY:
            self._memory[key] = page
        else:
            self._memory.pop(key, None)


def _memory_of(page: CachedPage) -> int:
    """Bytes, about; what is not a file counts as one more."""
    return packed.memory_of(page.entry.detail.files) + packed.LOOSE_FILE


def _is_same(entry: PageEntry, facts: PageFacts) -> bool:
    """Whether the stored page is this one; without a validator nobody can tell."""
    validators = facts.version.validators
    told = validators.etag is not None or validators.last_modified is not None
    return told and facts.version == (entry.validators, entry.links, entry.serial)
