"""Data directories as a kill finds them."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from proxy.sqlite.migrate import load_migrations, prepare
from tests.builders import BuiltFile, build_wheel
from tests.crash.world import DATABASE, LONG_AGO

if TYPE_CHECKING:
    from tests.crash.world import World
    from tests.fake_index import ThreadedFakeIndex

PADDING = 20_000


def wheel(name: str, padding: int = PADDING) -> BuiltFile:
    return build_wheel(name, "1.0", size_padding=padding)


KEPT, FRESH = wheel("kept"), wheel("fresh")
UPSTREAM = {"six": PADDING, "bare": PADDING, "large": 2 * PADDING}
"""The wheels to forward, and their sizes; that of `bare` comes without core metadata."""
BACKUP = "backup"
"""Where a backup lies in a world's directory."""
ROOM = 60 * 1024
"""Bytes of the cache where it is small."""
SMALL = f'max_size = "{ROOM}B"'


def stock(upstream: ThreadedFakeIndex) -> frozenset[str]:
    """The upstream's projects; those it also has under names that are published here are not to be seen."""
    for name, padding in UPSTREAM.items():
        upstream.add_built(name, wheel(name, padding), core_metadata=name != "bare")
    for name in ("kept", "fresh", "tree"):
        upstream.add_wheel(name, "9.0")
    return frozenset(UPSTREAM)


def nothing(world: World) -> None:
    """No server was ever started here."""


def published(world: World) -> None:
    with world.serving():
        world.publish("kept", KEPT)


def published_with_leftovers(world: World) -> None:
    """Also what a killed upload leaves: a part, and a blob that no row names."""
    published(world)
    (world.data_dir / "parts" / "left").write_bytes(b"half of a file")
    blob = world.data_dir / "blobs" / FRESH.sha256[:2] / FRESH.sha256[2:]
    blob.write_bytes(FRESH.data)
    os.utime(blob, (LONG_AGO, LONG_AGO))


def cached(world: World) -> None:
    published(world)
    with world.serving():
        world.install("six")
        world.install("bare")


def cached_with_little_room(world: World) -> None:
    cached(world)
    world.configure(cache=SMALL)


def cached_with_too_little_room(world: World) -> None:
    """Also with leftovers, for `gc`."""
    published_with_leftovers(world)
    with world.serving():
        for name in world.forwarded:
            world.install(name)
    world.configure(cache=SMALL)


def cached_and_rotten(world: World) -> None:
    cached(world)
    six = wheel("six").sha256
    (world.data_dir / "blobs" / six[:2] / six[2:]).write_bytes(b"rotten")


def backed_up_and_lost(world: World) -> None:
    published(world)
    world.command("backup", world.directory / BACKUP)
    shutil.rmtree(world.data_dir)


def in_format_1(world: World) -> None:
    """The rows of a server as the first format kept them."""
    cached(world)
    database = world.data_dir / DATABASE
    newest = database.rename(world.directory / "newest.db")
    prepare(database, load_migrations()[:1])
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("ATTACH ? AS newest", (str(newest),))
        tables = connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall()
        for (table,) in tables:
            columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT OR REPLACE INTO main.{table} ({columns}) SELECT {columns} FROM newest.{table}")  # noqa: S608
