"""A scenario run to its end, to learn its steps, and then killed at them."""

from __future__ import annotations

import shutil
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.crash.aftermath import check
from tests.crash.points import parse_point
from tests.crash.processes import Plan
from tests.crash.states import stock
from tests.crash.world import GONE, LISTENING, World

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.crash.points import Point
    from tests.crash.processes import Forks
    from tests.crash.scenarios import Scenario
    from tests.fake_index import ThreadedFakeIndex


class Stage:
    """One scenario, prepared."""

    def __init__(self, scenario: Scenario, directory: Path, forks: Forks, upstream: ThreadedFakeIndex) -> None:
        self._scenario = scenario
        self._directory = directory
        template = directory / "template"
        template.mkdir()
        self._template = World(template, forks, upstream, stock(upstream))
        self._template.configure()
        scenario.prepare(self._template)

    def record(self) -> Sequence[Point]:
        """The points that the scenario passes, in order; a server's start counts where that is the scenario."""
        world = self._template.copy(self._directory / "recorded")
        record = world.directory / "points.txt"
        self._scenario.act(world, Plan(record=record))
        assert world.status == 0
        self._check(world)
        lines = record.read_text().splitlines()
        if LISTENING in lines:
            listening = lines.index(LISTENING)
            lines = lines[:listening] if self._scenario.is_start else lines[listening + 1 :]
        return [parse_point(line) for line in lines]

    def kill_at(self, point: Point) -> bool:
        """Kill the scenario there and check what is left; whether it came to pass this point at all."""
        world = self._template.copy(self._directory / str(point).replace(" ", "-"))
        with suppress(*GONE):
            self._scenario.act(world, Plan(die_at=point))
        killed = world.status == -signal.SIGKILL
        assert killed or world.status == 0
        self._check(world)
        shutil.rmtree(world.directory)
        return killed

    def _check(self, world: World) -> None:
        self._scenario.recover(world)
        check(world)
