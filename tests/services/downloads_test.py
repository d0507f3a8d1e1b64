"""Files on their way into the cache: one request for all, nothing whole before it is verified, nothing kept that is
wrong.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from proxy.core.digests import sha256_of
from proxy.core.errors import NotFound, SidecarError, StorageFull, StorageTrouble, UpstreamBroken, UpstreamTrouble
from proxy.core.ranges import ByteRange
from proxy.disk.parts import DiskPart
from proxy.ports import Blob
from proxy.services import resuming
from proxy.services.downloads import HOLD_BACK, Download, Downloads
from tests.builders import build_sdist, build_wheel
from tests.fakes.gate import PATIENCE, Gate, settle, until
from tests.fakes.upstream import Served
from tests.services.house import House, of_pypi

if TYPE_CHECKING:
    from proxy.core.model import File
    from proxy.services.listings import UpstreamFile

SDIST = build_sdist("demo", "1.0", size_padding=100_000)
DATA = SDIST.data
SIZE = len(DATA)
DOWN = UpstreamTrouble("the upstream pypi stopped sending")


@pytest.fixture
def demo(house: House) -> File:
    return house.pypi.add("demo", SDIST)


@pytest.fixture
def wanted(demo: File) -> UpstreamFile:
    return of_pypi(demo)


def serve(house: House, file: UpstreamFile, served: Served) -> None:
    house.pypi.files[file.file.url] = served


def held(house: House, file: UpstreamFile, at: int = 50_000) -> Gate:
    """The upstream stops after so many bytes."""
    gate = Gate()
    serve(house, file, Served(DATA, gate=gate, gate_at=at))
    return gate


class Follower:
    """Reads a download, which it holds, in a task of its own."""

    def __init__(self, download: Download, part: ByteRange | None, held: AsyncExitStack) -> None:
        self.download = download
        self.read = bytearray()
        self._task = asyncio.create_task(self._follow(part, held))

    async def _follow(self, part: ByteRange | None, held: AsyncExitStack) -> None:
        async with held:
            async for chunk in self.download.follow(part):
                self.read += chunk

    async def end(self) -> bytes:
        """All of it; raises what cut it off."""
        await self._task
        return bytes(self.read)

    async def leave(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


async def begin(house: House, file: UpstreamFile, part: ByteRange | None = None) -> Follower:
    held = AsyncExitStack()
    download = await held.enter_async_context(house.downloads.open(file))
    assert isinstance(download, Download)
    return Follower(download, part, held)


async def open_blob(house: House, file: UpstreamFile) -> Blob:
    async with house.downloads.open(file) as opened:
        assert isinstance(opened, Blob)
        return opened


async def fetch(house: House, file: UpstreamFile) -> bytes:
    return await (await begin(house, file)).end()


async def ended(house: House) -> None:
    """Until nothing is under way."""
    await until(lambda: house.idle)


class TestCached:
    async def test_the_bytes_arrive_and_are_kept(self, house: House, wanted: UpstreamFile) -> None:
        assert await fetch(house, wanted) == DATA
        await ended(house)
        assert house.stored() == {SDIST.sha256}
        assert house.parts() == []
        assert house.store.cached[wanted.file.sha256].size == SIZE
        assert house.store.cached[wanted.file.sha256].used_at == house.clock.now()

    async def test_a_hundred_followers_cause_one_request(self, house: House, wanted: UpstreamFile) -> None:
        gate = held(house, wanted)
        followers = [await begin(house, wanted)]
        followers += await asyncio.gather(*(begin(house, wanted) for _ in range(99)))
        await gate.waiting()
        gate.open()
        assert [await follower.end() for follower in followers] == [DATA] * 100
        assert (house.pypi.count(), house.pypi.sent) == (1, SIZE)

    async def test_a_hundred_who_ask_at_once_begin_one_download(self, house: House, wanted: UpstreamFile) -> None:
        followers = await asyncio.gather(*(begin(house, wanted) for _ in range(100)))
        assert len({id(follower.download) for follower in followers}) == 1
        assert [await follower.end() for follower in followers] == [DATA] * 100
        assert house.pypi.count() == 1

    async def test_other_files_are_other_downloads(self, house: House, wanted: UpstreamFile) -> None:
        other = build_sdist("demo", "2.0")
        gate = held(house, wanted)
        slow = await begin(house, wanted)
        await gate.waiting()
        assert await fetch(house, of_pypi(house.pypi.add("demo", other))) == other.data
        gate.open()
        assert await slow.end() == DATA

    async def test_an_empty_file_is_a_file(self, house: House, wanted: UpstreamFile) -> None:
        empty = structs.replace(wanted.file, hashes={"sha256": sha256_of(b"")}, size=0, url="empty")
        house.pypi.files["empty"] = Served(b"")
        assert await fetch(house, of_pypi(empty)) == b""
        await ended(house)
        assert house.stored() == {sha256_of(b"")}

    async def test_where_the_page_tells_no_size_the_answer_does(self, house: House) -> None:
        file = of_pypi(house.pypi.add("demo", SDIST, size=None))
        gate = held(house, file)
        follower = await begin(house, file)
        assert follower.download.length == SIZE
        gate.open()
        assert await follower.end() == DATA

    async def test_where_nobody_tells_it_the_end_does(self, house: House) -> None:
        file = of_pypi(house.pypi.add("demo", SDIST, size=None))
        serve(house, file, Served(DATA, length=None))
        follower = await begin(house, file)
        assert follower.download.length is None
        assert await follower.end() == DATA

    async def test_who_waits_for_it_is_told_of_each_file(self, house: House, wanted: UpstreamFile) -> None:
        told: list[UpstreamFile] = []
        downloads = Downloads(house.upstreams, house.blobs, house.store, house.clock, told.append)
        async with downloads.open(wanted):
            pass
        await until(lambda: bool(told))
        async with downloads.open(wanted):
            pass
        await downloads.close()
        assert told == [wanted]

    async def test_a_cache_that_cannot_be_noted_is_a_cache_all_the_same(
        self, house: House, wanted: UpstreamFile
    ) -> None:
        house.store.trouble = StorageTrouble("the database is locked")
        assert await fetch(house, wanted) == DATA
        await ended(house)
        assert house.stored() == {SDIST.sha256}


class TestFollowers:
    async def test_bytes_arrive_while_more_are_to_come(self, house: House, wanted: UpstreamFile) -> None:
        gate = held(house, wanted, at=50_000)
        follower = await begin(house, wanted)
        await gate.waiting()
        await until(lambda: len(follower.read) == 50_000 - HOLD_BACK)
        assert bytes(follower.read) == DATA[: 50_000 - HOLD_BACK]
        gate.open()
        assert await follower.end() == DATA

    async def test_one_that_joins_late_gets_all_from_the_start(self, house: House, wanted: UpstreamFile) -> None:
        gate = held(house, wanted)
        first = await begin(house, wanted)
        await until(lambda: len(first.read) > 40_000)
        late = await begin(house, wanted)
        await until(lambda: len(late.read) == len(first.read))
        gate.open()
        assert (await first.end(), await late.end()) == (DATA, DATA)

    async def test_one_that_leaves_stops_nothing(self, house: House, wanted: UpstreamFile) -> None:
        gate = held(house, wanted)
        leaver, stayer = await begin(house, wanted), await begin(house, wanted)
        await gate.waiting()
        await leaver.leave()
        gate.open()
        assert await stayer.end() == DATA

    async def test_when_all_have_left_the_file_is_cached_all_the_same(
        self, house: House, wanted: UpstreamFile
    ) -> None:
        gate = held(house, wanted)
        follower = await begin(house, wanted)
        await gate.waiting()
        await follower.leave()
        gate.open()
        await ended(house)
        assert house.stored() == {SDIST.sha256}
        assert (await open_blob(house, wanted)).size == SIZE
        assert house.pypi.count() == 1

    async def test_one_that_waits_for_the_answer_may_leave(self, house: House, wanted: UpstreamFile) -> None:
        serve(house, wanted, Served(DATA))
        asking = asyncio.create_task(begin(house, wanted))
        await settle()
        asking.cancel()
        await asyncio.wait([asking])
        await until(lambda: bool(house.stored()))
        assert house.pypi.count() == 1

    async def test_one_that_takes_its_time_reads_on_when_all_is_over(self, house: House, wanted: UpstreamFile) -> None:
        async with house.downloads.open(wanted) as download:
            assert isinstance(download, Download)
            chunks = download.follow()
            read = await anext(chunks)
            await until(lambda: download.complete)
            assert house.downloads.find(wanted.file.sha256) is None
            assert read + b"".join([chunk async for chunk in chunks]) == DATA
            assert b"".join([chunk async for chunk in download.follow()]) == DATA, "one may as well begin only now"
        await ended(house)

    async def test_its_bytes_outlive_the_blob(self, house: House, wanted: UpstreamFile) -> None:
        async with house.downloads.open(wanted) as download:
            assert isinstance(download, Download)
            await until(lambda: download.complete)
            blob = await house.blobs.find(wanted.file.sha256)
            assert blob
            blob.path.unlink()
            assert b"".join([chunk async for chunk in download.follow()]) == DATA
        await ended(house)
        assert (house.stored(), house.parts()) == (set(), [])

    async def test_one_that_takes_its_time_keeps_nothing_from_being_evicted(
        self, house: House, wanted: UpstreamFile
    ) -> None:
        async with house.downloads.open(wanted) as download:
            assert isinstance(download, Download)
            await until(lambda: wanted.file.sha256 in house.store.cached)
            async with asyncio.timeout(PATIENCE):
                while not await house.blobs.delete(wanted.file.sha256):  # noqa: ASYNC110 - the file system tells nobody
                    await asyncio.sleep(0.001)
            assert b"".join([chunk async for chunk in download.follow()]) == DATA

    @pytest.mark.parametrize("part", [ByteRange(0, 0), ByteRange(5_000, 60_000), ByteRange(SIZE - 10, SIZE - 1)])
    async def test_a_range_is_followed_as_far_as_it_goes(
        self, house: House, wanted: UpstreamFile, part: ByteRange
    ) -> None:
        gate = held(house, wanted)
        follower = await begin(house, wanted, part)
        await gate.waiting()
        gate.open()
        assert await follower.end() == DATA[part.first : part.last + 1]

    async def test_a_range_that_is_here_waits_for_nothing(self, house: House, wanted: UpstreamFile) -> None:
        gate = held(house, wanted, at=50_000)
        follower = await begin(house, wanted)
        await until(lambda: follower.download.readable == 50_000 - HOLD_BACK)
        part = await begin(house, wanted, ByteRange(100, 40_000))
        assert await part.end() == DATA[100:40_001]
        gate.open()
        assert await follower.end() == DATA


class TestHoldBack:
    async def test_nobody_sees_the_end_before_it_is_verified(self, house: House, wanted: UpstreamFile) -> None:
        gate = held(house, wanted, at=SIZE)
        follower = await begin(house, wanted)
        await gate.waiting()
        await until(lambda: len(follower.read) == SIZE - HOLD_BACK)
        await settle()
        assert len(follower.read) == SIZE - HOLD_BACK
        gate.open()
        assert await follower.end() == DATA

    @pytest.mark.parametrize("size", [1, HOLD_BACK - 1, HOLD_BACK, HOLD_BACK + 1])
    async def test_of_a_small_file_nearly_all_is_held_back(self, house: House, demo: File, size: int) -> None:
        data, gate = DATA[:size], Gate()
        file = of_pypi(structs.replace(demo, hashes={"sha256": sha256_of(data)}, size=size))
        serve(house, file, Served(data, gate=gate, gate_at=size))
        follower = await begin(house, file)
        await gate.waiting()
        await settle()
        assert len(follower.read) <= max(0, size - HOLD_BACK)
        gate.open()
        assert await follower.end() == data

    @pytest.mark.parametrize("changed", [0, SIZE // 2, SIZE - 1])
    async def test_wrong_bytes_never_arrive_whole(self, house: House, wanted: UpstreamFile, changed: int) -> None:
        wrong = bytearray(DATA)
        wrong[changed] ^= 1
        serve(house, wanted, Served(bytes(wrong)))
        follower = await begin(house, wanted)
        with pytest.raises(UpstreamBroken, match="other bytes than its page promises"):
            await follower.end()
        assert len(follower.read) <= SIZE - HOLD_BACK

    async def test_a_range_at_the_end_is_held_back_too(self, house: House, wanted: UpstreamFile) -> None:
        serve(house, wanted, Served(DATA[:-1] + b"?"))
        follower = await begin(house, wanted, ByteRange(SIZE - 2000, SIZE - 1))
        with pytest.raises(UpstreamBroken):
            await follower.end()
        assert len(follower.read) <= 2000 - HOLD_BACK


class TestFailures:
    """Each leaves nothing behind, cuts everybody off, and the next caller begins anew."""

    async def fails(self, house: House, file: UpstreamFile, served: Served, error: type[SidecarError]) -> str:
        serve(house, file, served)
        outcomes = await asyncio.gather(*(fetch(house, file) for _ in range(3)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {error}
        await ended(house)
        assert (house.stored(), house.parts(), house.store.cached) == (set(), [], {})
        assert house.downloads.find(file.file.sha256) is None
        requests = house.pypi.count()
        serve(house, file, Served(DATA))
        assert await fetch(house, file) == DATA
        assert house.pypi.count() == requests + 1
        return str(outcomes[0])

    async def test_a_wrong_digest(self, house: House, wanted: UpstreamFile) -> None:
        assert "other bytes" in await self.fails(house, wanted, Served(bytes(SIZE)), UpstreamBroken)

    @pytest.mark.parametrize("length", [SIZE, None])
    async def test_a_short_body(self, house: House, wanted: UpstreamFile, length: int | None) -> None:
        assert "sent less" in await self.fails(house, wanted, Served(DATA[:-1], length=length), UpstreamBroken)

    @pytest.mark.parametrize("length", [SIZE, None])
    async def test_a_long_body(self, house: House, wanted: UpstreamFile, length: int | None) -> None:
        assert "sent more" in await self.fails(house, wanted, Served(DATA + b"x", length=length), UpstreamBroken)

    async def test_a_long_body_is_not_read_to_its_end(self, house: House, wanted: UpstreamFile) -> None:
        serve(house, wanted, Served(DATA * 10, length=None))
        with pytest.raises(UpstreamBroken):
            await fetch(house, wanted)
        assert house.pypi.sent < SIZE + 10_000

    async def test_a_short_body_of_unknown_length(self, house: House) -> None:
        file = of_pypi(house.pypi.add("demo", SDIST, size=None))
        assert "other bytes" in await self.fails(house, file, Served(DATA[:-1], length=None), UpstreamBroken)

    async def test_a_body_without_end(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resuming, "MAX_FILE", 50_000)
        file = of_pypi(house.pypi.add("demo", SDIST, size=None))
        serve(house, file, Served(DATA, length=None))
        with pytest.raises(UpstreamBroken, match="without end"):
            await fetch(house, file)
        assert house.pypi.sent < 60_000

    async def test_metadata_without_end(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resuming, "MAX_METADATA", 50_000)
        file = structs.replace(house.pypi.add("demo", SDIST, size=None), filename="demo-1.0.tar.gz.metadata")
        serve(house, of_pypi(file), Served(DATA, length=None))
        with pytest.raises(UpstreamBroken, match="without end"):
            await fetch(house, of_pypi(file))
        assert house.pypi.sent < 60_000

    async def test_one_that_is_announced_is_not_begun(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resuming, "MAX_FILE", SIZE - 1)
        file = of_pypi(house.pypi.add("demo", SDIST, size=None))
        with pytest.raises(UpstreamBroken, match="without end"):
            await fetch(house, file)
        assert house.pypi.sent == 0

    async def test_a_size_that_the_page_tells_is_believed(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resuming, "MAX_FILE", 1000)
        assert await fetch(house, of_pypi(house.pypi.add("demo", SDIST))) == DATA

    @pytest.mark.parametrize("length", [SIZE - 1, SIZE + 1, 0])
    async def test_another_length_than_the_page_says(self, house: House, wanted: UpstreamFile, length: int) -> None:
        said = await self.fails(house, wanted, Served(DATA, length=length), UpstreamBroken)
        assert "another size" in said
        assert house.pypi.sent == SIZE, "nothing was read of the wrong ones"

    async def test_a_body_that_breaks_off(self, house: House, wanted: UpstreamFile) -> None:
        served = Served(DATA[:50_000], length=SIZE, failure=DOWN)
        assert "stopped sending" in await self.fails(house, wanted, served, UpstreamTrouble)

    async def test_an_upstream_that_is_down(self, house: House, wanted: UpstreamFile) -> None:
        house.pypi.trouble = DOWN
        outcomes = await asyncio.gather(*(begin(house, wanted) for _ in range(10)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {UpstreamTrouble}
        assert (house.pypi.count(), house.parts()) == (1, [])
        house.pypi.trouble = None
        assert await fetch(house, wanted) == DATA

    async def test_a_file_that_the_upstream_no_longer_has(self, house: House, wanted: UpstreamFile) -> None:
        del house.pypi.files[wanted.file.url]
        with pytest.raises(NotFound):
            await begin(house, wanted)

    async def test_followers_that_read_are_cut_off(self, house: House, wanted: UpstreamFile) -> None:
        gate = Gate()
        serve(house, wanted, Served(DATA[:50_000], length=SIZE, gate=gate, gate_at=50_000, failure=DOWN))
        followers = [await begin(house, wanted) for _ in range(5)]
        await gate.waiting()
        gate.open()
        for follower in followers:
            with pytest.raises(UpstreamTrouble, match="stopped sending"):
                await follower.end()
            assert len(follower.read) < 50_000
        await ended(house)
        assert house.parts() == []

    async def test_a_failure_that_nobody_follows_is_tidied_up(self, house: House, wanted: UpstreamFile) -> None:
        serve(house, wanted, Served(bytes(SIZE)))
        async with house.downloads.open(wanted):
            pass
        await ended(house)
        assert (house.stored(), house.parts()) == (set(), [])


class TestCommittedMeanwhile:
    async def test_who_looked_before_the_end_gets_the_blob(self, house: House, wanted: UpstreamFile) -> None:
        assert await house.blobs.find(wanted.file.sha256) is None
        await fetch(house, wanted)
        assert (await open_blob(house, wanted)).path.read_bytes() == DATA
        assert house.pypi.count() == 1

    async def test_two_who_did_share_the_look(self, house: House, wanted: UpstreamFile) -> None:
        await fetch(house, wanted)
        await asyncio.gather(*(open_blob(house, wanted) for _ in range(10)))
        assert house.pypi.count() == 1


class TestTroubledDisk:
    @pytest.fixture(params=[0, 50_000], ids=["from the start", "on the way"])
    def full(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        """So many bytes find room."""
        write = DiskPart.write

        async def fill(part: DiskPart, data: bytes) -> None:
            if part.size + len(data) > request.param:
                raise StorageFull(f"no space left for {len(data)} bytes")
            await write(part, data)

        monkeypatch.setattr(DiskPart, "write", fill)

    @pytest.mark.usefixtures("full")
    async def test_it_fails_the_download_and_keeps_nothing(self, house: House, wanted: UpstreamFile) -> None:
        with pytest.raises(StorageFull):
            await fetch(house, wanted)
        await ended(house)
        assert (house.stored(), house.parts()) == (set(), [])

    async def test_one_that_lets_no_part_be_removed_harms_nobody(
        self, house: House, wanted: UpstreamFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        close = DiskPart.close

        async def fail(part: DiskPart) -> None:
            await close(part)
            raise StorageTrouble("cannot remove an unfinished file")

        monkeypatch.setattr(DiskPart, "close", fail)
        loop, complaints = asyncio.get_running_loop(), list[object]()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        serve(house, wanted, Served(bytes(SIZE)))
        with pytest.raises(UpstreamBroken):
            await fetch(house, wanted)
        await ended(house)
        gc.collect()
        await settle()
        assert complaints == []
        assert "until it is swept" in caplog.text

    async def test_one_that_cannot_be_asked_is_not_asked(
        self, house: House, wanted: UpstreamFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def find(*_: object) -> Blob | None:
            raise StorageTrouble("cannot look for a file")

        monkeypatch.setattr(type(house.blobs), "find", find)
        assert await fetch(house, wanted) == DATA

    async def test_a_part_that_cannot_be_read_again_is_trouble_to_who_comes_late(
        self, house: House, wanted: UpstreamFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def read(*_: object) -> bytes:
            return b""

        monkeypatch.setattr(DiskPart, "read", read)
        held(house, wanted)
        async with house.downloads.open(wanted) as download:
            assert isinstance(download, Download)
            await until(lambda: download.readable > 40_000)
            late = await begin(house, wanted)
            with pytest.raises(StorageTrouble, match="cannot be read again"):
                await late.end()

    async def test_the_latest_bytes_come_from_memory(
        self, house: House, wanted: UpstreamFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[int] = []
        read = DiskPart.read

        async def note(part: DiskPart, offset: int, size: int) -> bytes:
            asked.append(offset)
            return await read(part, offset, size)

        monkeypatch.setattr(DiskPart, "read", note)
        serve(house, wanted, Served(DATA, piece=SIZE))
        assert await fetch(house, wanted) == DATA
        assert asked == []

    async def test_a_blob_that_is_of_no_use_is_replaced(self, house: House, wanted: UpstreamFile) -> None:
        await fetch(house, wanted)
        await ended(house)
        blob = await open_blob(house, wanted)
        blob.path.write_bytes(b"rotten")
        async with house.downloads.open(wanted, anew=True) as download:
            assert isinstance(download, Download)
            assert b"".join([chunk async for chunk in download.follow()]) == DATA
        assert blob.path.read_bytes() == DATA

    async def test_also_where_another_caller_looks_for_it_just_then(self, house: House, wanted: UpstreamFile) -> None:
        await fetch(house, wanted)
        await ended(house)

        async def look(*, anew: bool) -> type:
            async with house.downloads.open(wanted, anew=anew) as opened:
                return type(opened)

        trusting, distrusting = await asyncio.gather(look(anew=False), look(anew=True))
        assert (trusting, distrusting) == (Blob, Download)


class TestClose:
    async def test_what_is_under_way_ends_and_leaves_no_parts(self, house: House, wanted: UpstreamFile) -> None:
        gate = held(house, wanted)
        followers = [await begin(house, wanted) for _ in range(3)]
        await gate.waiting()
        await house.downloads.close()
        for follower in followers:
            with pytest.raises(UpstreamTrouble, match="broken off"):
                await follower.end()
        assert (house.stored(), house.parts()) == (set(), [])

    async def test_who_waits_for_an_answer_is_told(self, house: House, wanted: UpstreamFile) -> None:
        asking = [asyncio.create_task(fetch(house, wanted)) for _ in range(3)]
        await settle()
        await house.downloads.close()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(one, UpstreamTrouble | asyncio.CancelledError) for one in outcomes)
        assert house.parts() == []

    async def test_one_that_was_cancelled_before_its_first_step_ends_too(
        self, house: House, wanted: UpstreamFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def run(*_: object) -> None:
            raise asyncio.CancelledError

        monkeypatch.setattr(Downloads, "_run", run)
        following = asyncio.create_task(fetch(house, wanted))
        await until(lambda: house.downloads.find(wanted.file.sha256) is not None)
        await house.downloads.close()
        with pytest.raises(UpstreamTrouble, match="broken off"):
            await following
        assert (house.parts(), house.downloads.find(wanted.file.sha256)) == ([], None)

    async def test_what_is_whole_by_then_stays(self, house: House, wanted: UpstreamFile) -> None:
        await fetch(house, wanted)
        await house.downloads.close()
        assert house.stored() == {SDIST.sha256}
        assert house.store.cached != {}

    async def test_nothing_to_end_is_no_trouble(self, house: House) -> None:
        await house.downloads.close()
        await house.downloads.close()


async def test_a_wheel_is_verified_like_any_file(house: House) -> None:
    wheel = build_wheel("demo", "1.0")
    assert await fetch(house, of_pypi(house.pypi.add("demo", wheel))) == wheel.data
    assert (await open_blob(house, of_pypi(house.pypi.add("demo", wheel)))).path.read_bytes() == wheel.data
