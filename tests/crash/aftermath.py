"""What must hold after a kill, whatever was going on: looked at from outside, through the next server."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from tests.crash.world import DATABASE, LONG_AGO, digest_of
from tests.e2e.wire import ask, check_intact, list_files, list_projects, upload

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.builders import BuiltFile
    from tests.crash.world import World


def check(world: World) -> None:
    """The next server starts by itself, has all that was acknowledged and nothing that is half there; raises
    AssertionError.

    What was left undecided is asked for once more, and is then as it should be.
    """
    with world.serving() as process:
        assert world.parts == []
        check_blobs(world)
        check_listed(world)
        check_claims(world)
        check_forwarded(world)
        check_tokens(world)
        check_leftovers(world)
        settle(world)
    assert world.status == 0, process.stderr
    assert "Traceback" not in process.stderr, process.stderr
    assert world.parts == []
    check_blobs(world)
    check_database(world)


def check_blobs(world: World) -> None:
    """Whatever has the name of a digest has that digest: a blob is whole from the first moment on."""
    for path in world.blobs:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest_of(path)


def check_listed(world: World, closely: Collection[str] | None = None) -> None:
    """All that was acknowledged is listed; what is listed, or of that what is looked at `closely`, is whole."""
    ledger = world.ledger
    listed = set(list_projects(f"{world.url}simple/"))
    assert ledger.published.keys() <= listed <= ledger.published.keys() | ledger.undecided.keys()
    for name in listed if closely is None else listed.intersection(closely):
        check_published(world, name, ledger.published.get(name) or ledger.undecided[name])


def check_published(world: World, name: str, built: BuiltFile) -> None:
    """The page lists the one file, with the bytes and the metadata that were sent."""
    (file,) = list_files(world.page_of(name))
    assert (file.filename, file.sha256) == (built.filename, built.sha256)
    check_intact(file)
    if built.filename.endswith(".whl"):
        assert ask("GET", f"{file.url}.metadata").body == built.metadata
    if name in world.ledger.yanked:
        assert json.loads(world.ask_page(name).body)["files"][0]["yanked"]


def check_claims(world: World) -> None:
    """What was deleted is gone, and the upstream's project of that name does not step in."""
    for name in world.ledger.deleted:
        assert world.packages(name) == []
    for name in world.ledger.claimed - set(list_projects(f"{world.url}simple/")):
        assert world.ask_page(name).status == 404


def check_forwarded(world: World) -> None:
    """Every page of the upstream is there, with files that are whole, whether cached or fetched again."""
    for name in world.forwarded:
        world.install(name)


def check_tokens(world: World) -> None:
    if not world.ledger.tokens:
        return
    listed = {each["name"] for each in json.loads(world.command("token", "list", "--json"))}
    assert world.ledger.tokens <= listed


def check_leftovers(world: World) -> None:
    """Blobs that nobody names go when they are old; what is published stays."""
    leftovers = world.digests - world.published - world.cached
    if leftovers:
        for path in world.blobs:
            with suppress(FileNotFoundError):  # evicted a moment ago
                os.utime(path, (LONG_AGO, LONG_AGO))
        world.command("gc")
    assert not leftovers & world.digests - world.published - world.cached
    assert world.published <= world.digests


def settle(world: World) -> None:
    """Send once more what got no answer: it is taken, or was there."""
    for name, built in list(world.ledger.undecided.items()):
        assert upload(f"{world.url}legacy/", name, "1.0", built).status == 201
        world.ledger.note_published(name)
        check_published(world, name, built)


def check_database(world: World) -> None:
    with closing(sqlite3.connect(world.data_dir / DATABASE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
