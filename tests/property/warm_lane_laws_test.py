"""Whatever happens between two requests: the warm lane says what the slow lane says, byte for byte, but for the date
and the request id.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import patch

import hypothesis.strategies as st
from hypothesis import given, settings

from proxy import compose as composition
from proxy.config import Config, load_config
from proxy.core.errors import NameTaken
from proxy.core.model import ProjectStatus, Status
from proxy.core.names import ProjectName
from proxy.services import grounds, guesses
from tests.contracts.samples import NOW, new_file
from tests.fake_index import FakeIndex
from tests.fakes.clock import FakeClock
from tests.web.server import HTML, JSON, PIP, forwards_to
from tests.web.twins import Twins, get

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import TypeAlias

    from tests.fake_index.catalogue import File

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a fresh directory of our own in it
NAMES = ("demo", "six")
GROUP = '[groups.default]\nid = 1\n{}\n[projects."default/packages"]\nid = 1\n'
CONFIGS = (
    "",
    GROUP.format('deny = ["six"]'),
    GROUP.format('merge = ["demo"]'),
    GROUP.format('min_age = "3m"'),
    GROUP.format("forwarding = false"),
    '[access]\nanonymous = "none"\n',
    '[server]\nexternal_url = "https://pypi.example.com"\n[access]\nanonymous = "read"\n',
)


@dataclass
class World:
    twins: Twins
    index: FakeIndex
    clock: FakeClock
    directory: Path
    wheel: File


Step: TypeAlias = "Callable[[World], Coroutine[None, None, None]]"


def publish(name: str, version: int) -> Step:
    async def step(world: World) -> None:
        try:
            await world.twins.server._store.publish(new_file(name, str(version)), root=1, now=NOW)
        except NameTaken:
            return

    return step


def yank(file: int, reason: str | None) -> Step:
    return lambda world: world.twins.server._store.save_yank([file], reason)


def delete(file: int) -> Step:
    async def step(world: World) -> None:
        await world.twins.server._store.delete_files([file], root=1)

    return step


def mark(name: str, status: Status) -> Step:
    return lambda world: world.twins.server._store.save_status(1, ProjectName(name), ProjectStatus(status))


def change_upstream(name: str, version: int) -> Step:
    """A file more, or the project gone."""

    async def step(world: World) -> None:
        if version:
            world.index.add_wheel(name, str(version), upload_time=world.clock.now())
        else:
            world.index.add_project(name)
            world.index.remove(name)

    return step


def wait(seconds: int) -> Step:
    async def step(world: World) -> None:
        world.clock.advance(seconds=seconds)

    return step


def reload(config: str) -> Step:
    async def step(world: World) -> None:
        await world.twins.server.configure(read_config(world.directory, world.index, config))

    return step


class Question(NamedTuple):
    path: str
    lines: tuple[str, ...]
    cut: int
    """After how many bytes its head is sent in two pieces; 0: it is sent as one."""

    def pieces(self, world: World) -> list[bytes]:
        request = get(self.path.format(*file_path(world)), *self.lines)
        return [request[: self.cut], request[self.cut :]] if self.cut else [request]


async def compare(world: World, question: Question, *, warm_first: bool) -> None:
    twins, pieces = world.twins, question.pieces(world)
    first = await twins.warm.ask(*pieces) if warm_first else None
    await twins.slow.ask(*pieces)  # from now on nobody fetches
    slow = await twins.slow.ask(*pieces)
    if first:
        assert (first.status, first.body, first.field("ETag")) == (slow.status, slow.body, slow.field("ETag"))
    for _ in range(3):
        assert (await twins.warm.ask(*pieces)).lasting == slow.lasting


def file_path(world: World) -> tuple[str, str]:
    """Of the file that the upstream listed first, whether it still does or not."""
    return world.wheel.sha256, world.wheel.filename


names = st.sampled_from(NAMES)
versions = st.integers(1, 3)
headers = st.sampled_from(
    [
        (),
        (f"Accept: {JSON}",),
        (f"Accept: {HTML}", "Accept-Encoding: gzip"),
        (f"Accept: {PIP}", "Accept-Encoding: gzip, deflate", "User-Agent: pip/26.3", "Cache-Control: max-age=0"),
        ("Accept: application/xml",),
        ("If-None-Match: *",),
        ("Range: bytes=0-9",),
        ("Via: 1.1 somewhere",),
        ("PRIVATE-TOKEN: nobodys",),
        ("Connection: close",),
    ]
)
paths = st.sampled_from(
    [
        "/simple/",
        "/simple/demo/",
        "/simple/demo/",
        "/simple/six/",
        "/simple/Demo/",
        "/simple/demo/?format=x",
        "/api/v4/projects/1/packages/pypi/simple/demo/",
        "/files/{}/{}",
        "/files/{}/{}.metadata",
        "/-/health",
    ]
)
questions = st.builds(Question, paths, headers, st.sampled_from([0, 0, 0, 5, 30]))
changes = st.one_of(
    st.builds(publish, names, versions),
    st.builds(yank, st.integers(1, 3), st.sampled_from([None, "", "broken"])),
    st.builds(delete, st.integers(1, 3)),
    st.builds(mark, names, st.sampled_from(Status)),
    st.builds(change_upstream, names, st.integers(0, 3)),
    st.builds(wait, st.sampled_from([1, 59, 61, 601, 4000])),
    st.builds(reload, st.sampled_from(CONFIGS)),
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(questions, min_size=1, max_size=4, unique=True), st.lists(st.tuples(changes, st.booleans()), max_size=6)
)
def test_both_lanes_say_the_same(asked: list[Question], happening: list[tuple[Step, bool]]) -> None:
    """Everything is asked before and after each change, so that the lane knows it."""
    asyncio.run(walk(asked, happening))


async def walk(asked: list[Question], happening: list[tuple[Step, bool]]) -> None:
    clock = FakeClock()
    with (
        TemporaryDirectory(dir=MEMORY) as place,
        patch.object(composition, "SystemClock", lambda: clock),
        patch.object(grounds, "MAX_AGE", 60.0),
        patch.object(guesses, "MAX_GUESSES", 100_000),  # or the later of two askers would be told to wait
    ):
        async with FakeIndex() as index:
            wheel, _ = (index.add_wheel(name, "1", upload_time=clock.now()) for name in NAMES)
            async with Twins(read_config(Path(place), index, "")) as twins:
                world = World(twins, index, clock, Path(place), wheel)
                for change, warm_first in ((nothing, False), *happening):
                    await change(world)
                    for question in asked:
                        await compare(world, question, warm_first=warm_first)


async def nothing(_: World) -> None:
    pass


def read_config(directory: Path, index: FakeIndex, config: str) -> Config:
    file = directory / "config.toml"
    file.write_text(forwards_to(index) + config)
    return load_config(file, {}, server={"data_dir": str(directory / "data")})
