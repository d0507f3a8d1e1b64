"""A disk without room, inodes or leave to write: the real server over a small one of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.builders import build_wheel
from tests.e2e.harness import PATIENCE, Server, clean_env, eventually, forwards_to
from tests.e2e.small_disk import SmallDisk
from tests.e2e.storage_trouble import Stock, check_file
from tests.e2e.wire import list_projects, upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fake_index import ThreadedFakeIndex

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="a small file system of one's own is Linux's"),
]

VISITS = 16
INODES = 700
"""Some 256 are the directories of blobs."""


class Trouble(NamedTuple):
    """How a disk comes to take no more, how that ends, and what an upload is told then."""

    begin: Callable[[SmallDisk], None]
    end: Callable[[SmallDisk], None]
    words: str


FULL = Trouble(SmallDisk.fill, SmallDisk.free, "no space left")
NO_INODES = Trouble(SmallDisk.take_inodes, SmallDisk.free_inodes, "no space left")
READ_ONLY = Trouble(SmallDisk.forbid_new_files, SmallDisk.allow_new_files, "check the disk and the owner")

TROUBLES = [pytest.param(FULL, id="full"), pytest.param(NO_INODES, id="no inodes")]


class House:
    """A small disk, and servers over it one after the other. `data_dir` is a path that this process can open."""

    def __init__(self, disk: SmallDisk, upstream: ThreadedFakeIndex, config: Path) -> None:
        self.disk = disk
        self.upstream = upstream
        self.data_dir = disk.seen(disk.data_dir)
        self._config = config
        self.configure()

    def configure(self, more: str = "") -> None:
        self._config.write_text(forwards_to(self.upstream) + more)

    def serve(self) -> Server:
        return Server(self.disk.data_dir, config=self._config, command=[*self.disk.command, "serve"])

    def refused(self) -> str:
        """What a server that will not start says on stderr; it must exit with 1."""
        command = [*self.disk.command, "serve", "--port", "0", "--data-dir", str(self.disk.data_dir)]
        ended = subprocess.run(command, env=clean_env(), capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "Traceback" not in ended.stderr
        return ended.stderr


@pytest.fixture
def house(tmp_path: Path, upstream: ThreadedFakeIndex) -> Iterator[House]:
    with SmallDisk(tmp_path / "disk", size="8m", inodes=INODES) as disk:
        yield House(disk, upstream, tmp_path / "config.toml")


@pytest.mark.parametrize("trouble", [*TROUBLES, pytest.param(READ_ONLY, id="read-only")])
def test_what_is_here_is_served_the_rest_is_forwarded_and_uploads_wait(house: House, trouble: Trouble) -> None:
    with house.serve() as server:
        stock = Stock(server, house.upstream, house.data_dir)
        trouble.begin(house.disk)
        assert trouble.words in stock.check_uploads_refused(server)
        stock.check_kept(server)
        stock.check_forwarded_uncached(server)
        stock.check_not_ready(server, "blobs")
        trouble.end(house.disk)
        stock.check_recovered(server)
        server.terminate()


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("end", [Server.terminate, Server.kill])
def test_a_server_starts_where_nothing_can_be_written(
    house: House, trouble: Trouble, end: Callable[[Server], None]
) -> None:
    with house.serve() as server:
        stock = Stock(server, house.upstream, house.data_dir)
        end(server)
    trouble.begin(house.disk)
    for _ in range(2):  # what one start used up must not be missing at the next
        with house.serve() as server:
            trouble.end(house.disk)
            trouble.begin(house.disk)  # all that the start gave up is gone, too
            stock.check_kept(server)
            stock.check_uploads_refused(server)
            stock.check_not_ready(server, "blobs")
            end(server)
    with house.serve() as server:
        trouble.end(house.disk)
        stock.check_recovered(server)
        server.terminate()
    with house.serve() as server:
        stock.check_kept(server)


@pytest.mark.parametrize("running", [True, False], ids=["beside a server", "alone"])
def test_a_command_finds_room_to_delete(house: House, *, running: bool) -> None:
    delete: list[str | Path] = [
        *house.disk.command,
        "delete",
        "default/packages",
        "own-0==1.0",
        "--data-dir",
        house.disk.data_dir,
    ]
    with house.serve() as server:
        stock = Stock(server, house.upstream, house.data_dir)
        house.disk.fill()
        if running:
            house.disk.run(*delete)
        server.terminate()
    if not running:
        house.disk.run(*delete)
    with house.serve() as server:
        assert list_projects(f"{server.url}simple/") == []
        house.disk.free()
        stock.check_ready(server)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_server_that_is_killed_where_nothing_can_be_written_starts_there(house: House, trouble: Trouble) -> None:
    with house.serve() as server:
        stock = Stock(server, house.upstream, house.data_dir)
        trouble.begin(house.disk)
        stock.check_uploads_refused(server)
        stock.check_forwarded_uncached(server)
        server.kill()
    with house.serve() as server:
        stock.check_kept(server)
        server.kill()
    with house.serve() as server:
        trouble.end(house.disk)
        stock.check_recovered(server)


def test_an_upload_that_is_too_big_for_the_disk_leaves_it_as_it_was(house: House) -> None:
    with house.serve() as server:
        stock = Stock(server, house.upstream, house.data_dir)
        huge = build_wheel("huge", "1.0", size_padding=20_000_000)
        reply = upload(f"{server.url}legacy/", "huge", "1.0", huge)
        assert (reply.status, "no space left" in reply.message) == (507, True)
        stock.check_no_parts()
        stock.check_recovered(server)


def test_a_cache_that_fills_the_disk_stops_no_download(house: House) -> None:
    with house.serve() as server:
        stock = Stock(server, house.upstream, house.data_dir)
        for _ in range(20):
            file = stock.add_upstream("filling", size=1_000_000)
            check_file(stock.listed(server, file), file)
        stock.check_kept(server)
        stock.check_no_parts()
        house.disk.fill()
        stock.check_uploads_refused(server)
        house.configure('[cache]\nmax_size = "2MiB"\n')
        server.send(signal.SIGHUP)
        eventually(lambda: stock.takes_uploads(server), what="the cache has made room")
        stock.check_ready(server)


def test_a_disk_that_is_full_now_and_then_harms_none_of_a_crowd(house: House) -> None:
    house.configure('[cache]\nmax_size = "1MiB"\n')
    with house.serve() as server, ThreadPoolExecutor(8) as pool:
        stock = Stock(server, house.upstream, house.data_dir)

        def visit() -> None:
            stock.takes_uploads(server)
            file = stock.add_upstream("crowd")
            check_file(stock.listed(server, file), file)

        visits = [pool.submit(visit) for _ in range(VISITS)]
        for ended in range(0, VISITS, 4):
            house.disk.fill()
            eventually(lambda: sum(map(Future.done, visits)) >= ended + 2, what="some met a full disk")  # noqa: B023
            house.disk.free()
            eventually(lambda: sum(map(Future.done, visits)) >= ended + 4, what="some met one with room")  # noqa: B023
        for each in visits:
            each.result()
        stock.check_no_parts()
        stock.publish(server)
        stock.check_ready(server)
        stock.check_published(server)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_fresh_data_directory_where_nothing_can_be_written_is_refused(house: House, trouble: Trouble) -> None:
    trouble.begin(house.disk)
    words = house.refused()
    assert "no space" in words
    assert str(house.disk.data_dir) in words
    trouble.end(house.disk)
    with house.serve() as server:
        Stock(server, house.upstream, house.data_dir)


def test_a_read_only_data_directory_is_refused(house: House) -> None:
    with house.serve() as server:
        Stock(server, house.upstream, house.data_dir)
        server.terminate()
    house.disk.forbid_new_files()
    words = house.refused()
    assert f"{house.disk.data_dir} cannot be written" in words
