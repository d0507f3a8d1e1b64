"""What is killed: each scenario acts on copies of a data directory, again and again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

from proxy.core.digests import sha256_of
from tests.builders import build_sdist
from tests.crash import states
from tests.crash.processes import LIVE, Plan
from tests.crash.states import BACKUP, FRESH, KEPT, PADDING, UPSTREAM, nothing, wheel
from tests.crash.world import Died
from tests.e2e.harness import eventually
from tests.e2e.wire import ask, check_intact, list_files
from tests.fake_index import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.world import World


class Scenario(NamedTuple):
    """`act` is what runs under a plan; it may raise `GONE`. `kills` are the fewest that there must be.

    `recover` is what an operator does after it. A server's start is killed where it is the scenario, in no other.
    """

    name: str
    prepare: Callable[[World], None]
    act: Callable[[World, Plan], None]
    kills: int
    recover: Callable[[World], None] = nothing

    @property
    def is_start(self) -> bool:
        return self.act is start


def start(world: World, plan: Plan) -> None:
    with world.serving(plan):
        assert ask("GET", f"{world.url}-/readiness").status == 200


def upload(world: World, plan: Plan) -> None:
    with world.serving(plan):
        world.publish("fresh", FRESH)


def upload_again(world: World, plan: Plan) -> None:
    with world.serving(plan):
        world.publish("kept", KEPT)


def upload_sdist(world: World, plan: Plan) -> None:
    with world.serving(plan):
        world.publish("tree", build_sdist("tree", "1.0", size_padding=PADDING))


def delete(world: World, plan: Plan) -> None:
    with world.serving(plan):
        world.delete("kept")


def download(world: World, plan: Plan) -> None:
    with world.serving(plan):
        fetch(world, "six")


def fetch(world: World, name: str) -> None:
    """A wheel of the upstream. Its metadata is kept aside when it is here; nobody is told, so it is looked for."""
    (file,) = list_files(world.page_of(name))
    check_intact(file)
    metadata = sha256_of(wheel(name).metadata)
    eventually(lambda: world.answers() and metadata in world.cached, what="the metadata is here too")


def read_metadata(world: World, plan: Plan) -> None:
    """Of a wheel whose upstream offers none, out of the wheel."""
    with world.serving(plan):
        (file,) = list_files(world.page_of("bare"))
        assert ask("GET", f"{file.url}.metadata").status == 200


def refresh(world: World, plan: Plan) -> None:
    """A page that has changed, and one that has not."""
    world.upstream.add_wheel("six", "1.0", size_padding=PADDING)
    with world.serving(plan):
        world.install("six")
        world.install("bare")


def lose_page(world: World, plan: Plan) -> None:
    """The upstream says that it has no such project any more."""
    gone = world.upstream.fault(Status(404), "/simple/six/")
    try:
        with world.serving(plan):
            assert world.ask_page("six").status == 404
    finally:
        world.upstream.clear_faults(gone)


def evict(world: World, plan: Plan) -> None:
    """There is room for two wheels, not for three."""
    with world.serving(plan):
        fetch(world, "large")
        six, bare, large = (wheel(name, padding).sha256 for name, padding in UPSTREAM.items())
        eventually(lambda: world.answers() and not {six, bare, large} <= world.digests, what="one of them is gone")


def collect(world: World, plan: Plan) -> None:
    world.command("gc", plan=plan)


def repair(world: World, plan: Plan) -> None:
    process = world.start("verify", "--repair", plan=plan)
    world.status = process.wait()
    if world.status == 1:  # it found what there was to find
        world.status = 0


def repair_again(world: World) -> None:
    repair(world, LIVE)


def back_up(world: World, plan: Plan) -> None:
    world.command("backup", world.directory / BACKUP, plan=plan)


def restore(world: World, plan: Plan) -> None:
    world.command("restore", world.directory / BACKUP, plan=plan)


def lose_all_but_the_backup(world: World) -> None:
    """One that was killed is made again; what there is of it then is all."""
    if not (world.directory / BACKUP).exists():
        back_up(world, LIVE)
    shutil.rmtree(world.data_dir)
    restore(world, LIVE)


def restore_again(world: World) -> None:
    """Unless it had come to its end: then it finds the directory in use."""
    try:
        restore(world, LIVE)
    except Died as refused:
        assert "not empty" in str(refused)  # noqa: PT017 - both ends are good


def yank(world: World, plan: Plan) -> None:
    world.command("yank", "default/packages", "kept==1.0", plan=plan)
    world.ledger.yanked.add("kept")


def delete_by_command(world: World, plan: Plan) -> None:
    world.ledger.begin("kept", KEPT)
    world.command("delete", "default/packages", "kept==1.0", plan=plan)
    world.ledger.note_deleted("kept")


def create_token(world: World, plan: Plan) -> None:
    access = "default=developer"
    world.command("token", "create", "--name", "ci", "--scope", "api", "--access", access, plan=plan)
    world.ledger.tokens.add("ci")


def import_files(world: World, plan: Plan) -> None:
    source = world.directory / "source"
    source.mkdir(exist_ok=True)
    for name, built in (("fresh", FRESH), ("kept", KEPT)):
        (source / built.filename).write_bytes(built.data)
        world.ledger.begin(name, built)
    world.command("import", source, "--project", "default/packages", plan=plan)
    for name in ("fresh", "kept"):
        world.ledger.note_published(name)


SCENARIOS = (
    Scenario("first start", states.nothing, start, 30),
    Scenario("start", states.published_with_leftovers, start, 12),
    Scenario("migration", states.in_format_1, start, 18),
    Scenario("upload", states.published, upload, 30),
    Scenario("upload of what is there", states.published, upload_again, 10),
    Scenario("upload of an sdist", states.published, upload_sdist, 20),
    Scenario("delete", states.published, delete, 10),
    Scenario("download", states.published, download, 40),
    Scenario("metadata out of a wheel", states.published, read_metadata, 25),
    Scenario("page refresh", states.cached, refresh, 30),
    Scenario("page that is gone", states.cached, lose_page, 8),
    Scenario("eviction", states.cached_with_little_room, evict, 20),
    Scenario("gc", states.cached_with_too_little_room, collect, 30),
    Scenario("verify", states.cached_and_rotten, repair, 10, recover=repair_again),
    Scenario("backup", states.published, back_up, 35, recover=lose_all_but_the_backup),
    Scenario("restore", states.backed_up_and_lost, restore, 35, recover=restore_again),
    Scenario("yank by command", states.published, yank, 8),
    Scenario("delete by command", states.published, delete_by_command, 10),
    Scenario("token create", states.published, create_token, 8),
    Scenario("import", states.published, import_files, 30),
)
