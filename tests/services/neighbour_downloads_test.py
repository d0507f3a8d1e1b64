"""Files that two processes want at the same time: one fetches, the other reads along, both serve the same bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import NotFound, StorageFull, UpstreamBroken, UpstreamTrouble
from proxy.core.ranges import ByteRange
from proxy.disk.parts import DiskPart
from proxy.ports import Blob
from proxy.services import trailing
from proxy.services.download import HOLD_BACK
from tests.builders import build_sdist
from tests.fakes.gate import Gate, until
from tests.fakes.upstream import Served
from tests.services.house import of_pypi
from tests.services.street import Street, open_street

if TYPE_CHECKING:
    from proxy.services.listings import UpstreamFile
    from tests.services.house import House, MakeHouse

LARGE = build_sdist("demo", "1.0", size_padding=100_000)
SMALL = build_sdist("demo", "1.0")
DATA = LARGE.data


@pytest.fixture
async def street(make_house: MakeHouse) -> Street:
    return await open_street(make_house)


@pytest.fixture
def wanted(street: Street) -> UpstreamFile:
    return of_pypi(street.pypi.add("demo", LARGE))


async def fetch(
    house: House, file: UpstreamFile, wanted: ByteRange | None = None, into: bytearray | None = None
) -> bytes:
    """All of a file; what has come by now is in `into`."""
    read = bytearray() if into is None else into
    async with house.downloads.open(file) as opened:
        if isinstance(opened, Blob):
            return opened.path.read_bytes()
        async for chunk in opened.follow(wanted):
            read += chunk
    return bytes(read)


def served(street: Street, file: UpstreamFile, served: Served) -> None:
    street.pypi.files[file.file.url] = served


def held(street: Street, file: UpstreamFile, at: int = 50_000) -> Gate:
    gate = Gate()
    served(street, file, Served(DATA, gate=gate, gate_at=at))
    return gate


async def begin(
    street: Street, file: UpstreamFile
) -> tuple[Gate, asyncio.Task[bytes], asyncio.Task[bytes], bytearray]:
    """The left house fetches and is held up in the middle; the right one, which comes then, has what there is."""
    gate, came = held(street, file), bytearray()
    left = asyncio.create_task(fetch(street.left, file))
    await gate.waiting()
    right = asyncio.create_task(fetch(street.right, file, into=came))
    await until(lambda: len(came) == 50_000 - HOLD_BACK)
    return gate, left, right, came


async def test_one_download_serves_both_as_it_comes(street: Street, wanted: UpstreamFile) -> None:
    gate, left, right, came = await begin(street, wanted)
    assert came == DATA[: 50_000 - HOLD_BACK]
    gate.open()
    assert [await left, await right] == [DATA, DATA]
    assert street.pypi.count("file") == 1
    await until(lambda: street.idle)
    assert street.left.parts() == []
    assert street.left.stored() == {LARGE.sha256}
    assert street.left.store.cached[wanted.file.sha256].size == len(DATA)


async def test_a_small_file_is_had_whole(street: Street) -> None:
    file = of_pypi(street.pypi.add("demo", SMALL))
    gate = Gate()
    served(street, file, Served(SMALL.data, gate=gate, gate_at=100))
    both = [asyncio.create_task(fetch(house, file)) for house in street.houses]
    await gate.waiting()
    gate.open()
    assert [await each for each in both] == [SMALL.data] * 2
    assert street.pypi.count("file") == 1


async def test_a_range_is_read_along(street: Street, wanted: UpstreamFile) -> None:
    gate, left, right, _ = await begin(street, wanted)
    tail = asyncio.create_task(fetch(street.right, wanted, ByteRange(40_000, 60_000)))
    gate.open()
    assert await tail == DATA[40_000:60_001]
    await asyncio.gather(left, right)
    assert street.pypi.count("file") == 1


async def test_the_last_bytes_of_a_wrong_file_reach_nobody(street: Street, wanted: UpstreamFile) -> None:
    wrong = DATA[:-1] + bytes([DATA[-1] ^ 1])
    gate, came = Gate(), bytearray()
    served(street, wanted, Served(wrong, gate=gate, gate_at=50_000))
    left = asyncio.create_task(fetch(street.left, wanted))
    await gate.waiting()
    right = asyncio.create_task(fetch(street.right, wanted, into=came))
    await until(lambda: bool(came))
    gate.open()
    with pytest.raises(UpstreamBroken):
        await left
    with pytest.raises(UpstreamTrouble, match="broken off"):
        await right
    assert len(came) <= len(DATA) - HOLD_BACK
    await until(lambda: street.idle)
    assert street.left.stored() == set()
    assert street.left.parts() == []


async def test_who_had_no_bytes_yet_starts_anew(street: Street, wanted: UpstreamFile) -> None:
    gate = Gate()
    served(street, wanted, Served(DATA[:100], len(DATA), gate=gate, gate_at=100, failure=UpstreamBroken("cut")))
    left = asyncio.create_task(fetch(street.left, wanted))
    await gate.waiting()
    right = asyncio.create_task(fetch(street.right, wanted))
    await until(lambda: street.right.downloads.find(wanted.file.sha256) is not None)
    served(street, wanted, Served(DATA))
    gate.open()
    with pytest.raises(UpstreamTrouble):
        await left
    assert await right == DATA
    assert street.pypi.count("file") == 2


async def test_a_file_that_the_upstream_has_not_is_missing_for_both(street: Street, wanted: UpstreamFile) -> None:
    del street.pypi.files[wanted.file.url]
    for result in await asyncio.gather(*(fetch(house, wanted) for house in street.houses), return_exceptions=True):
        assert isinstance(result, NotFound)


async def test_after_a_long_wait_a_failure_is_not_tried_again(
    street: Street, wanted: UpstreamFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trailing, "ENOUGH", 0.0)
    gate = Gate()
    served(street, wanted, Served(b"", len(DATA), gate=gate, failure=UpstreamBroken("cut")))
    left = asyncio.create_task(fetch(street.left, wanted))
    await gate.waiting()
    right = asyncio.create_task(fetch(street.right, wanted))
    await until(lambda: street.right.downloads.find(wanted.file.sha256) is not None)
    gate.open()
    for each in left, right:
        with pytest.raises(UpstreamTrouble):
            await each
    assert street.pypi.count("file") == 1


async def test_a_disk_that_takes_no_more_is_each_ones_own_trouble(
    street: Street, wanted: UpstreamFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StorageFull("no space")

    monkeypatch.setattr(DiskPart, "write", full)
    results = await asyncio.gather(*(fetch(house, wanted) for house in street.houses), return_exceptions=True)
    assert [type(result) for result in results] == [StorageFull, StorageFull]
    await until(lambda: street.idle)


async def test_what_one_has_fetched_is_here_for_the_other(street: Street, wanted: UpstreamFile) -> None:
    assert await fetch(street.left, wanted) == DATA
    assert await fetch(street.right, wanted) == DATA
    assert street.pypi.count("file") == 1


async def test_who_leaves_while_it_waits_for_a_neighbour_stops_nothing(street: Street, wanted: UpstreamFile) -> None:
    gate, left, right, _ = await begin(street, wanted)
    right.cancel()
    await asyncio.wait([right])
    gate.open()
    assert await left == DATA
    await until(lambda: street.idle)


async def test_a_house_that_closes_leaves_the_download_to_its_owner(street: Street, wanted: UpstreamFile) -> None:
    gate, left, right, _ = await begin(street, wanted)
    await street.right.downloads.close()
    with pytest.raises(UpstreamTrouble):
        await right
    gate.open()
    assert await left == DATA


async def test_an_owner_that_closes_cuts_off_who_had_bytes(street: Street, wanted: UpstreamFile) -> None:
    gate, left, right, _ = await begin(street, wanted)
    await street.left.downloads.close()
    for each in left, right:
        with pytest.raises(UpstreamTrouble):
            await each
    gate.open()
    await until(lambda: street.idle)
    assert street.left.parts() == []
