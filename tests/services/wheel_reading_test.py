"""Core metadata where the upstream offers none: read out of the wheel at little cost, kept, and shown on its page."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from proxy.core.digests import Sha256, sha256_of
from proxy.core.errors import NotFound, StorageFull, StorageTrouble, UpstreamBroken, UpstreamTrouble
from proxy.core.model import PageEntry
from proxy.core.ranges import ByteRange
from proxy.core.wheel_metadata import TAIL
from proxy.ports import Blob
from proxy.services import wheel_metadata
from proxy.services.listings import UpstreamFile
from tests.builders import BuiltFile, build_metadata, build_wheel
from tests.fakes.gate import Gate, settle, until
from tests.fakes.upstream import Served
from tests.services.house import DEMO, House, cache, of_pypi

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.core.model import File

LARGE = build_wheel("demo", "1.0", size_padding=2_000_000)
MIDDLE = build_wheel(
    "demo",
    "1.0",
    size_padding=1_000_000,
    extra_members={"demo/data.bin": build_wheel("x", "1", size_padding=900_000).data},
)
DOWN = UpstreamTrouble("the upstream pypi cannot be reached")


def add(house: House, built: BuiltFile = LARGE, *, size: int | None = -1) -> File:
    return house.pypi.add("demo", built, offers_metadata=False, size=size)


async def get(house: House, file: File) -> bytes:
    metadata = await house.wheel_metadata.get(of_pypi(file))
    return metadata if isinstance(metadata, bytes) else metadata.path.read_bytes()


async def shown(house: House) -> object:
    page = (await house.upstream_pages.get("pypi", DEMO)).page
    assert page is not None
    return page.files[0].core_metadata


class TestByRanges:
    @pytest.mark.parametrize(("built", "requests"), [(LARGE, 1), (MIDDLE, 2), (build_wheel("demo", "1.0"), 1)])
    async def test_few_requests_and_few_bytes_are_enough(self, house: House, built: BuiltFile, requests: int) -> None:
        assert await get(house, add(house, built)) == built.metadata
        assert house.pypi.count() == requests
        assert house.pypi.sent <= min(2 * TAIL, len(built.data))

    async def test_it_is_kept_and_the_wheel_is_not(self, house: House) -> None:
        file = add(house)
        await get(house, file)
        metadata = sha256_of(LARGE.metadata)
        assert (house.stored(), house.parts()) == ({metadata}, [])
        assert house.store.core_metadata["pypi", DEMO] == {file.sha256: metadata}
        assert house.store.cached[metadata].size == len(LARGE.metadata)

    async def test_it_shows_on_the_page_with_its_hash(self, house: House) -> None:
        file = add(house)
        assert await shown(house) is False
        await get(house, file)
        assert await shown(house) == {"sha256": sha256_of(LARGE.metadata)}

    async def test_a_hundred_callers_cause_one_reading(self, house: House) -> None:
        file = add(house)
        assert set(await asyncio.gather(*(get(house, file) for _ in range(100)))) == {LARGE.metadata}
        assert house.pypi.count() == 1

    async def test_where_the_page_tells_no_size_the_upstream_is_asked(self, house: House) -> None:
        file = add(house, size=None)
        assert await get(house, file) == LARGE.metadata
        assert house.pypi.count("size") == 1

    async def test_where_nobody_tells_it_there_is_no_metadata(self, house: House) -> None:
        house.pypi.sizes = False
        with pytest.raises(NotFound, match="size"):
            await get(house, add(house, size=None))
        assert house.pypi.count("file") == 0

    async def test_an_upstream_without_ranges_is_in_trouble(self, house: House) -> None:
        house.pypi.ranges = False
        with pytest.raises(UpstreamBroken, match="no ranges"):
            await get(house, add(house))
        assert house.pypi.sent == 0

    @pytest.mark.parametrize("wrong", [b"", b"short", bytes(TAIL * 10)])
    async def test_another_range_than_asked_for_is_not_believed(
        self, house: House, wrong: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = add(house)
        monkeypatch.setattr(Served, "cut", lambda served, wanted: Served(wrong) if wanted else served)
        with pytest.raises(UpstreamBroken, match="another range"):
            await get(house, file)
        assert house.pypi.sent <= TAIL + 4096, "one without end is not read on"
        assert house.stored() == set()

    async def test_a_directory_that_is_scattered_is_given_up(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(wheel_metadata, "MAX_REQUESTS", 1)
        with pytest.raises(NotFound, match="scattered"):
            await get(house, add(house, MIDDLE))
        assert house.pypi.count() == 1

    async def test_one_that_is_too_large_is_given_up(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wheel_metadata, "MAX_WINDOWS", TAIL + 1000)
        with pytest.raises(NotFound, match="too large"):
            await get(house, add(house, MIDDLE))
        assert [asked.wanted for asked in house.pypi.asked] == [
            ByteRange(len(MIDDLE.data) - TAIL, len(MIDDLE.data) - 1)
        ]

    async def test_trouble_is_passed_on_and_forgotten(self, house: House) -> None:
        file = add(house)
        house.pypi.trouble = DOWN
        with pytest.raises(UpstreamTrouble):
            await get(house, file)
        house.pypi.trouble = None
        assert await get(house, file) == LARGE.metadata


class TestStored:
    async def test_out_of_a_wheel_that_is_here_it_is_read_without_asking(self, house: House) -> None:
        file = add(house)
        await cache(house, file)
        asked = house.pypi.count()
        assert await get(house, file) == LARGE.metadata
        assert house.pypi.count() == asked

    async def test_a_wheel_that_came_in_has_its_metadata_kept(self, house: House) -> None:
        await cache(house, add(house))
        assert house.stored() == {LARGE.sha256, sha256_of(LARGE.metadata)}
        assert await shown(house) == {"sha256": sha256_of(LARGE.metadata)}
        assert house.pypi.count("file") == 1

    async def test_so_has_one_whose_upstream_offers_it(self, house: House) -> None:
        """Both are here then when the upstream is down; what it promises stays its own."""
        await cache(house, house.pypi.add("demo", LARGE))
        assert house.stored() == {LARGE.sha256, sha256_of(LARGE.metadata)}
        assert house.store.core_metadata == {}

    async def test_one_that_was_evicted_a_moment_ago_is_read_by_ranges(
        self, house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        async def find(_: object, sha256: Sha256) -> Blob:
            return Blob(sha256, len(LARGE.data), tmp_path / "gone")

        file = add(house)
        monkeypatch.setattr(type(house.blobs), "find", find)
        assert await get(house, file) == LARGE.metadata
        assert house.pypi.sent == TAIL

    async def test_so_is_one_that_has_lost_bytes(self, house: House) -> None:
        file = add(house)
        async with house.downloads.open(of_pypi(file)):
            pass
        await until(lambda: house.idle)
        blob = await house.blobs.find(file.sha256)
        assert blob
        os.truncate(blob.path, 1000)
        assert await get(house, file) == LARGE.metadata

    async def test_a_range_that_breaks_off_is_taken_up_again(self, house: House) -> None:
        file = add(house)
        house.pypi.files[file.url] = Served(LARGE.data, gate=(gate := Gate()), gate_at=1000, failure=DOWN)
        reading = asyncio.create_task(get(house, file))
        await gate.waiting()
        house.pypi.files[file.url] = Served(LARGE.data)
        gate.open()
        assert await reading == LARGE.metadata

    async def test_so_is_one_that_the_disk_does_not_find(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        async def find(*_: object) -> Blob | None:
            raise StorageTrouble("cannot look for a file")

        file = add(house)
        monkeypatch.setattr(type(house.blobs), "find", find)
        assert await get(house, file) == LARGE.metadata


class TestNone:
    @pytest.mark.parametrize(
        "data",
        [
            b"no zip at all",
            build_wheel("six", "1.0").data,
            build_wheel("demo", "1.0", extra_members={"b.dist-info/METADATA": build_metadata("demo", "1.0")}).data,
        ],
        ids=["broken", "of another release", "two of them"],
    )
    async def test_a_wheel_that_does_not_describe_itself_has_none(self, house: House, data: bytes) -> None:
        file = add(house, BuiltFile("demo-1.0-py3-none-any.whl", data, sha256_of(data), b""))
        with pytest.raises(NotFound, match=r"^404 Not Found - "):
            await get(house, file)
        assert (house.stored(), house.store.core_metadata) == (set(), {})
        assert await shown(house) is False


class TestUnkept:
    """What the disk does not take is answered all the same."""

    async def test_on_a_full_disk_its_bytes_are_answered(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        async def write(_: object, data: bytes) -> None:
            raise StorageFull(f"no space for {len(data)} bytes")

        monkeypatch.setattr("proxy.disk.parts.DiskPart.write", write)
        assert await house.wheel_metadata.get(of_pypi(add(house))) == LARGE.metadata
        assert (house.parts(), house.store.core_metadata) == ([], {})

    async def test_also_where_the_database_takes_nothing(self, house: House) -> None:
        file = add(house)
        house.store.trouble = StorageFull("no space left")
        assert await get(house, file) == LARGE.metadata

    async def test_what_cannot_be_read_is_read_anew_and_not_kept_again(self, house: House) -> None:
        assert await house.wheel_metadata.read_anew(of_pypi(add(house))) == LARGE.metadata
        assert house.stored() == set()


class TestAside:
    """For those who ask next; nobody waits for it."""

    async def test_it_is_read_and_shown(self, house: House) -> None:
        file = add(house)
        await shown(house)
        house.wheel_metadata.read_aside(of_pypi(file))
        await until(lambda: house.idle)
        assert await shown(house) == {"sha256": sha256_of(LARGE.metadata)}

    async def test_nothing_is_read_where_the_upstream_offers_it(self, house: House) -> None:
        house.wheel_metadata.read_aside(of_pypi(house.pypi.add("demo", LARGE)))
        await settle()
        assert house.idle
        assert house.pypi.count() == 0

    async def test_nor_where_it_is_known(self, house: House) -> None:
        file = add(house)
        house.wheel_metadata.read_aside(UpstreamFile("pypi", DEMO, file, sha256_of(LARGE.metadata)))
        await settle()
        assert house.idle
        assert house.pypi.count() == 0

    async def test_what_is_no_wheel_is_left_alone(self, house: House) -> None:
        sdist = house.pypi.add("demo", BuiltFile("demo-1.0.tar.gz", b"x", sha256_of(b"x"), b""), offers_metadata=False)
        house.wheel_metadata.read_aside(of_pypi(sdist))
        house.wheel_metadata.keep_aside(of_pypi(sdist))
        assert house.idle

    async def test_no_more_are_read_at_once_than_the_bound(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(wheel_metadata, "MAX_ASIDE", 2)
        gate = Gate()
        for version in ("1.0", "2.0", "3.0"):
            built = build_wheel("demo", version)
            file = add(house, built)
            house.pypi.files[file.url] = Served(built.data, gate=gate)
            house.wheel_metadata.read_aside(of_pypi(file))
        await gate.waiting(2)
        await settle()
        assert gate.arrived == 2
        gate.open()
        await until(lambda: house.idle)
        assert len(house.store.core_metadata["pypi", DEMO]) == 2

    async def test_trouble_harms_nobody(self, house: House) -> None:
        loop, complaints = asyncio.get_running_loop(), list[object]()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        house.pypi.trouble = DOWN
        house.wheel_metadata.read_aside(of_pypi(add(house)))
        await until(lambda: house.idle)
        await settle()
        assert complaints == []

    async def test_closing_ends_it_and_leaves_nothing(self, house: House) -> None:
        gate = Gate()
        file = add(house)
        house.pypi.files[file.url] = Served(LARGE.data, gate=gate)
        house.wheel_metadata.read_aside(of_pypi(file))
        await gate.waiting()
        await house.wheel_metadata.close()
        assert house.idle
        assert (house.stored(), house.parts()) == (set(), [])


async def test_what_was_learnt_of_a_page_that_is_not_in_memory_is_kept_for_it(house: House) -> None:
    file = add(house)
    await get(house, file)
    assert ("pypi", DEMO) not in house.store.pages
    page = house.pypi.pages[DEMO]
    entry = PageEntry("pypi", page.detail, page.validators, house.clock.now(), house.pypi.links)
    house.store.pages["pypi", DEMO] = entry
    assert await shown(house) == {"sha256": sha256_of(LARGE.metadata)}
