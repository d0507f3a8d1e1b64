"""A server under load, `gc` beside it, killed at any moment and started again over the same data directory."""

from __future__ import annotations

import random
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.crash.aftermath import check, check_blobs, check_database, check_listed, settle
from tests.crash.crowd import Crowd
from tests.crash.world import World

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from tests.crash.processes import Forks
    from tests.fake_index import ThreadedFakeIndex

KILLS = 40
MOST = 25
"""So much may be done between two kills, and a little more."""
FEW = 10
PROJECTS = 12
PADDING = 60_000
ROOM = 'max_size = "300KiB"'
"""For fewer wheels than the upstream has: all the while some are evicted and fetched again."""


def stock(upstream: ThreadedFakeIndex) -> Iterable[str]:
    """Half of the upstream's wheels come without core metadata."""
    for number in range(PROJECTS):
        yield upstream.add_wheel(f"lib{number}", "1.0", size_padding=PADDING, core_metadata=number % 2 == 0).project


def change(upstream: ThreadedFakeIndex, chance: random.Random, version: int) -> None:
    upstream.add_wheel(f"lib{chance.randrange(PROJECTS)}", f"2.{version}", size_padding=PADDING)


def kill_at_start(world: World, chance: random.Random) -> None:
    process = world.start("serve", "--port", "0")
    time.sleep(chance.uniform(0.0, 0.1))  # the moment is what is left to chance
    process.send(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def kill_at_work(world: World, chance: random.Random, crowd: Crowd, known: Collection[str]) -> None:
    """Start, look at what the last kills left (at what was `known` before them, a few), work for a moment, die."""
    few = chance.sample(sorted(known), min(FEW, len(known)))
    with world.serving() as process:
        assert world.parts == []
        check_blobs(world)
        check_listed(world, closely={*world.ledger.published, *world.ledger.undecided} - {*known} | {*few})
        settle(world)
        with crowd.at_work():
            beside = world.start("gc")
            crowd.wait(chance.randrange(MOST))
            time.sleep(chance.uniform(0.0, 0.05))
            process.send(signal.SIGKILL)
            beside.send(signal.SIGKILL)
            assert beside.wait() in {0, -signal.SIGKILL}
    assert world.status == -signal.SIGKILL
    assert "Traceback" not in process.stderr, process.stderr
    check_database(world)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_server_that_is_killed_again_and_again_loses_nothing(
    seed: int, directory: Path, forks: Forks, upstream: ThreadedFakeIndex
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seeded choice, no secret
    world = World(directory, forks, upstream, frozenset(stock(upstream)))
    world.configure(cache=ROOM)
    done, known = 0, set[str]()
    for number in range(KILLS):
        change(upstream, chance, number)
        if chance.random() < 0.3:
            kill_at_start(world, chance)
            continue
        crowd = Crowd(world, f"{seed}-{number}")
        known_now = set(world.ledger.published)
        kill_at_work(world, chance, crowd, known)
        done, known = done + crowd.done, known_now
    check(world)
    sys.stdout.write(f"seed {seed}: {KILLS} kills, {done} answers between them, {len(world.ledger.claimed)} names\n")
    assert done > KILLS, "there was work between the kills"
