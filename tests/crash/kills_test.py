"""Kills at every step of what changes the data directory, one process each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.crash.killing import Stage
from tests.crash.points import parse_point, thinned
from tests.crash.scenarios import SCENARIOS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.crash.processes import Forks
    from tests.crash.scenarios import Scenario
    from tests.fake_index import ThreadedFakeIndex


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_kill_at_any_step_loses_nothing(
    scenario: Scenario, directory: Path, forks: Forks, upstream: ThreadedFakeIndex
) -> None:
    stage = Stage(scenario, directory, forks, upstream)
    points = list(thinned(stage.record()))
    missed = [point for point in points if not stage.kill_at(point)]
    kills = len(points) - len(missed)
    sys.stdout.write(f"{scenario.name}: {kills} kills at {len(points)} points; not reached: {missed}\n")
    assert kills >= scenario.kills
    assert len(missed) <= len(points) // 10, "work beside the requests may be cut short by the server's end, no other"


def test_there_are_hundreds_of_kills() -> None:
    assert sum(scenario.kills for scenario in SCENARIOS) >= 200


SAMPLE = {
    "upload": ("after part.commit:1", "before store.publish:1", "after store.publish:1", "before sql.COMMIT:2"),
    "download": ("before part.commit:1", "after part.commit:1", "after store.save_page:1"),
    "migration": ("before sql.ALTER:2", "before sql.PRAGMA_user_version:1"),
    "delete": ("before store.delete_release:1", "after store.delete_release:1"),
}


@pytest.mark.parametrize("name", SAMPLE)
def test_a_kill_at_the_moments_that_decide_loses_nothing(
    name: str, directory: Path, forks: Forks, upstream: ThreadedFakeIndex
) -> None:
    (scenario,) = (scenario for scenario in SCENARIOS if scenario.name == name)
    stage = Stage(scenario, directory, forks, upstream)
    assert all(stage.kill_at(parse_point(point)) for point in SAMPLE[name])
