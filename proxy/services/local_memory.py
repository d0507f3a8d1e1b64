"""What the store says of local names, remembered for as long as nobody publishes (`LocalStore.generation`)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar, cast

from cachetools import LRUCache

from proxy.services.coalesce import Coalescer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Hashable, Sequence

    from proxy.core.local import LocalFile
    from proxy.core.model import ProjectStatus
    from proxy.core.names import ProjectName
    from proxy.core.policy import LocalFacts

T = TypeVar("T")

MAX_AGE: Final = 1.0
"""Seconds after which the store is asked again all the same: a process may be killed before it renews the mark."""
MAX_SIZE: Final = 200_000
"""Of all that is remembered, in names; a file counts as ten. About 100 bytes each."""
_FILE: Final = 10


class LocalRows(Protocol):
    """The part of LocalStore that tells of names."""

    def generation(self) -> bytes: ...

    async def find_facts(self, root: int, projects: Collection[int], name: ProjectName) -> LocalFacts: ...

    async def list_files(self, projects: Collection[int], name: ProjectName) -> Sequence[LocalFile]: ...

    async def list_names(self, projects: Collection[int]) -> Sequence[ProjectName]: ...

    async def find_status(self, projects: Collection[int], name: ProjectName) -> ProjectStatus | None: ...


class _Remembered(NamedTuple):
    generation: bytes
    since: float
    value: object
    size: int


_Load: TypeAlias = "Callable[[], Coroutine[None, None, T]]"


def _room_of(files: Sequence[LocalFile]) -> int:
    return _FILE * len(files)


class LocalMemory:
    """LocalRows, over those of the store. `timer` gives seconds of a clock that only goes forward."""

    def __init__(self, store: LocalRows, timer: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._timer = timer
        self._held: LRUCache[Hashable, _Remembered] = LRUCache(MAX_SIZE, getsizeof=lambda held: held.size)
        self._flights: Coalescer[Hashable, Any] = Coalescer()

    def generation(self) -> bytes:
        return self._store.generation()

    async def find_facts(self, root: int, projects: Collection[int], name: ProjectName) -> LocalFacts:
        key = ("facts", root, tuple(projects), name)
        return await self._remember(key, lambda: self._store.find_facts(root, projects, name), lambda _: 1)

    async def list_files(self, projects: Collection[int], name: ProjectName) -> Sequence[LocalFile]:
        key = ("files", tuple(projects), name)
        return await self._remember(key, lambda: self._store.list_files(projects, name), _room_of)

    async def list_names(self, projects: Collection[int]) -> Sequence[ProjectName]:
        return await self._remember(("names", tuple(projects)), lambda: self._store.list_names(projects), len)

    async def find_status(self, projects: Collection[int], name: ProjectName) -> ProjectStatus | None:
        key = ("status", tuple(projects), name)
        return await self._remember(key, lambda: self._store.find_status(projects, name), lambda _: 1)

    async def _remember(self, key: Hashable, load: _Load[T], size: Callable[[T], int]) -> T:
        """The value, read once for all who ask for it in one generation; raises StorageTrouble."""
        generation = self._store.generation()
        held = self._held.get(key)
        if held is not None and held.generation == generation and self._timer() - held.since < MAX_AGE:
            return cast("T", held.value)
        return cast("T", await self._flights.run((key, generation), lambda: self._load(key, generation, load, size)))

    async def _load(self, key: Hashable, generation: bytes, load: _Load[T], size: Callable[[T], int]) -> T:
        since = self._timer()
        value = await load()
        remembered = _Remembered(generation, since, value, size(value) + 1)
        if remembered.size <= MAX_SIZE:
            self._held[key] = remembered
        return value
