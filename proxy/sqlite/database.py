"""Connections to the database file: one that writes, a few that read.

WAL lets readers go on while one connection writes; each reader sees the last commit before its statement began. All
writes of this process go through one connection under a lock: on a shared connection another task's INSERT would join,
and be rolled back with, whatever transaction is open. Other processes (workers, commands beside a running server) are
held off by BEGIN IMMEDIATE, which waits for their commit instead of failing at ours.

A connection runs its statements in a thread of its own, in the order they were asked for. That makes cancellation
safe: the ROLLBACK of a cancelled task stands in line before the next transaction's BEGIN, whether or not anybody still
awaits it.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

import aiosqlite

from proxy.sqlite.generation import Generation
from proxy.sqlite.migrate import BUSY_TIMEOUT, database_uri, load_migrations, prepare
from proxy.sqlite.trouble import storage_errors

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from pathlib import Path

    Parameters: TypeAlias = Sequence[object] | Mapping[str, object]

READERS: Final = 4

# temp_store: what a statement puts aside stays in memory; a full disk must stop neither reads nor deletions.
_FOR_READING: Final = "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;"
# fullfsync: on macOS a plain fsync stops at the drive's own cache; elsewhere it changes nothing.
# journal_size_limit: gives the space back after one huge page went through the WAL.
_FOR_WRITING: Final = """
    PRAGMA foreign_keys = ON;
    PRAGMA fullfsync = ON;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA temp_store = MEMORY;
"""


class Transaction:
    """The statements of one open transaction."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def execute(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """Run one statement to its end; the rows that it returns, if it does."""
        return list(await self._connection.execute_fetchall(sql, parameters))


class Database:
    """`generation` tells what was published by whichever process."""

    def __init__(
        self, writer: aiosqlite.Connection, readers: Iterable[aiosqlite.Connection], generation: Generation
    ) -> None:
        self.generation = generation
        self._writer = writer
        self._turn = asyncio.Lock()
        self._readers: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        for reader in readers:
            self._readers.put_nowait(reader)

    async def read(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """All rows of one SELECT; waits for a free reader, never for the writer."""
        reader = await self._readers.get()
        try:
            with storage_errors():
                return list(await reader.execute_fetchall(sql, parameters))
        finally:
            self._readers.put_nowait(reader)

    @asynccontextmanager
    async def transaction(self, *, durable: bool = True) -> AsyncIterator[Transaction]:
        """Commit what happens inside, or nothing of it when it raises.

        A durable commit has been fsynced when this returns (synchronous = FULL) and survives a power cut. What can be
        fetched again need not wait for the disk: without `durable` a power cut may undo the last commits, whole ones
        and never a durable one before them, since both lie in one WAL.
        """
        synchronous = "FULL" if durable else "NORMAL"
        async with self._turn:
            with storage_errors():
                try:
                    await self._writer.executescript(f"PRAGMA synchronous = {synchronous}; BEGIN IMMEDIATE")
                    yield Transaction(self._writer)
                    await self._writer.commit()
                except BaseException:
                    await self._writer.rollback()
                    raise

    @asynccontextmanager
    async def publication(self) -> AsyncIterator[Transaction]:
        """A durable transaction that changes what is published. All see so before whoever asked for it is told."""
        try:
            async with self.transaction() as transaction:
                yield transaction
        finally:  # also where it failed: whether a commit that was broken off counts is not known here
            self.generation.renew()


class Tables:
    """What keeps one aggregate: the tables that its statements name, in this database."""

    def __init__(self, database: Database) -> None:
        self._database = database


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """The database in the file `path`, created or migrated first where needed; raises StorageTrouble."""
    await asyncio.to_thread(prepare, path, load_migrations())
    async with AsyncExitStack() as stack:
        writer = await _connect(stack, path, _FOR_WRITING)
        readers = [await _connect(stack, path, _FOR_READING) for _ in range(READERS)]
        generation = Generation(path.with_suffix(".generation"))
        stack.callback(generation.close)
        yield Database(writer, readers, generation)


async def _connect(stack: AsyncExitStack, path: Path, pragmas: str) -> aiosqlite.Connection:
    with storage_errors(f"the database {path}"):
        connection = await stack.enter_async_context(
            aiosqlite.connect(database_uri(path, "rw"), uri=True, isolation_level=None, timeout=BUSY_TIMEOUT)
        )
        connection.row_factory = aiosqlite.Row
        await connection.executescript(pragmas)
    return connection
