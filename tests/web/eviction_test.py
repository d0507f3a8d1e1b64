"""A cache that is smaller than what is asked of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import pytest

from proxy.compose import compose
from proxy.config import load_config
from proxy.sqlite.store import FILENAME, open_store
from tests.builders import build_wheel
from tests.web.server import eventually, forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.config import Config
    from tests.fake_index import FakeIndex
    from tests.web.server import MakeServer, Server

MAX_SIZE = 50_000
SIZE = 10_000
PAGE = "/simple/demo-pkg/"
OWN = build_wheel("own", "1.0")


class Listed(NamedTuple):
    """A file of the upstream."""

    filename: str
    sha256: str
    data: bytes


def small_cache(index: FakeIndex) -> str:
    return f'[cache]\nmax_size = "{MAX_SIZE}B"\n{forwards_to(index)}'


@pytest.fixture
def listed(index: FakeIndex) -> list[Listed]:
    """Files that together are far larger than the cache."""
    files = []
    for number in range(12):
        data = number.to_bytes(SIZE, "big")
        file = index.add_file("demo-pkg", f"demo_pkg-{number}.0.tar.gz", data)
        files.append(Listed(file.filename, file.sha256, data))
    return files


async def fetch(server: Server, file: Listed) -> str:
    """Fetch a file, whole and right; its Cache-Status."""
    answer = await server.get(await server.link(PAGE, file.filename))
    assert (answer.status, answer.body) == (200, file.data)
    return answer.headers["Cache-Status"]


def stored(server: Server, listed: list[Listed]) -> list[Listed]:
    """Those of the files that are here."""
    here = {path.parent.name + path.name for path in (server.data_dir / "blobs").glob("??/*")}
    return [file for file in listed if file.sha256 in here]


async def counted(data_dir: Path) -> int:
    async with open_store(data_dir / FILENAME) as store:
        size = await store.measure_cache()
    return size.blobs + size.pages


async def test_the_cache_stays_under_its_size_and_fetches_again_what_went(
    make_server: MakeServer, index: FakeIndex, listed: list[Listed]
) -> None:
    server = await make_server(small_cache(index))
    await publish(server, OWN)
    for file in listed:
        assert "stored" in await fetch(server, file)
    await eventually(lambda: len(stored(server, listed)) * SIZE <= MAX_SIZE)
    kept = stored(server, listed)
    assert kept == listed[-len(kept) :], "the least recently used went first"
    gone = listed[0]
    assert "stored" in await fetch(server, gone)
    assert "hit" in await fetch(server, gone)
    assert (await server.get(f"/files/{OWN.sha256}/{OWN.filename}")).body == OWN.data


async def test_its_size_is_known_after_a_restart(
    make_server: MakeServer, index: FakeIndex, listed: list[Listed]
) -> None:
    server = await make_server(small_cache(index))
    for file in listed[:4]:
        await fetch(server, file)
    await server.close()
    before = await counted(server.data_dir)
    assert 4 * SIZE < before < MAX_SIZE
    again = await make_server(small_cache(index))
    for file in listed[4:6]:
        await fetch(again, file)
    await eventually(lambda: len(stored(again, listed)) * SIZE <= MAX_SIZE - SIZE)
    assert set(listed[4:6]) <= set(stored(again, listed))
    await again.close()
    assert await counted(server.data_dir) <= MAX_SIZE


async def test_what_is_used_outlives_what_is_newer(
    make_server: MakeServer, index: FakeIndex, listed: list[Listed]
) -> None:
    server = await make_server(small_cache(index))
    for file in listed[:3]:
        await fetch(server, file)
    assert "hit" in await fetch(server, listed[0])
    for file in listed[3:6]:
        await fetch(server, file)
        await eventually(lambda: len(stored(server, listed)) * SIZE <= MAX_SIZE)
    assert listed[0] in stored(server, listed)
    assert listed[1] not in stored(server, listed)


async def test_published_files_count_nothing_and_stay(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(small_cache(index))
    wheels = [build_wheel("own", f"{number}.0", size_padding=2 * SIZE) for number in range(5)]
    for wheel in wheels:
        await publish(server, wheel)
    file = index.add_file("demo-pkg", "demo_pkg-1.0.tar.gz", b"x" * SIZE)
    small = Listed(file.filename, file.sha256, b"x" * SIZE)
    await fetch(server, small)
    assert "hit" in await fetch(server, small)
    for wheel in wheels:
        assert (await server.get(f"/files/{wheel.sha256}/{wheel.filename}")).body == wheel.data
    await server.close()
    assert SIZE <= await counted(server.data_dir) < 2 * SIZE


async def test_a_reload_takes_another_size(data_dir: Path) -> None:
    """As SIGHUP does it."""

    def config(max_size: str) -> Config:
        file = data_dir.with_name("config.toml")
        file.write_text(f'[cache]\nmax_size = "{max_size}"\n')
        return load_config(file, {}, server={"data_dir": str(data_dir)})

    async with compose(config("1GiB")) as server:
        blobs = []
        for number in range(5):
            part = await server._blobs.writer()
            await part.write(number.to_bytes(SIZE, "big"))
            blobs.append(await part.commit())
            await server._store.record_cached(blobs[-1].sha256, SIZE, datetime.now(UTC))
            await part.close()
        await server.configure(config(f"{2 * SIZE}B"))
        await eventually(lambda: [blob.path.exists() for blob in blobs][:3] == [False] * 3)
        assert blobs[4].path.exists()
