"""Files and their companions: served where the caller's own page lists them, and nowhere else."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from proxy.core import cache_status
from proxy.core.access import Anonymous, anonymous
from proxy.core.digests import sha256_of
from proxy.core.errors import NotFound, StorageTrouble, Unauthorized, UpstreamTrouble
from proxy.core.names import Filename, GroupPath, ProjectName
from proxy.core.provenance import provenance_of
from proxy.core.ranges import ByteRange
from proxy.core.registry import Project, Visibility
from proxy.core.rules import parse_name_pattern, parse_name_rule
from proxy.ports import Blob
from proxy.services import files
from proxy.services.downloads import Download
from proxy.services.files import Cold, Stored, Unkept
from proxy.services.listings import UpstreamFile
from tests.builders import BuiltFile, build_sdist, build_wheel
from tests.fakes.clock import START
from tests.fakes.gate import Gate, settle, until
from tests.fakes.upstream import Asked, Served
from tests.services.house import ACME, DEMO, PACKAGES, READER, House, MakeHouse, cache, named, upload

if TYPE_CHECKING:
    from proxy.core.digests import Sha256
    from proxy.core.local import LocalFile
    from proxy.core.model import File
    from proxy.services.files import Found

WHEEL = build_wheel("demo", "1.0")
SDIST = build_sdist("demo", "1.0", size_padding=100_000)
SIZE = len(SDIST.data)
DOWN = UpstreamTrouble("the upstream pypi cannot be reached")
NOBODY = anonymous(Anonymous.NONE)
WEEK = timedelta(days=7)
UNKNOWN = sha256_of(b"another file")


@pytest.fixture
def wheel(house: House) -> File:
    return house.pypi.add("demo", WHEEL)


@pytest.fixture
def sdist(house: House) -> File:
    return house.pypi.add("demo", SDIST, offers_metadata=False)


def is_named(built: BuiltFile) -> tuple[Sha256, Filename]:
    return sha256_of(built.data), Filename(built.filename)


async def cold_file(house: House, file: File) -> Cold:
    found = await house.files.find(READER, house.group, *named(file))
    assert isinstance(found, Cold)
    return found


def replace_filename(house: House, file: LocalFile, filename: Filename) -> LocalFile:
    """A row as no upload makes it any more."""
    renamed = structs.replace(file, filename=filename)
    house.store.files[house.store.files.index(file)] = renamed
    return renamed


async def read(found: Found) -> bytes:
    assert isinstance(found, Stored)
    return found.blob.path.read_bytes()


class TestForwarded:
    async def test_a_file_on_the_page_is_cold_until_it_is_cached(self, house: House, wheel: File) -> None:
        cold = await cold_file(house, wheel)
        assert (cold.file.file, cold.size) == (wheel, len(WHEEL.data))
        await cache(house, wheel)
        found = await house.files.find(READER, house.group, *named(wheel))
        assert await read(found) == WHEEL.data
        assert isinstance(found, Stored)
        assert found.cache_status == cache_status.HIT
        assert house.pypi.count("file") == 1

    async def test_while_it_comes_in_it_is_cold(self, house: House, sdist: File) -> None:
        gate = Gate()
        house.pypi.files[sdist.url] = Served(SDIST.data, gate=gate)
        async with house.files.fetch(await cold_file(house, sdist)):
            assert isinstance(await house.files.find(READER, house.group, *named(sdist)), Cold)
            gate.open()

    async def test_no_page_needs_to_be_fetched_before(self, house: House, wheel: File) -> None:
        """A lock file names it cold."""
        await cold_file(house, wheel)
        assert [asked.call for asked in house.pypi.asked] == ["page"]

    @pytest.mark.parametrize(
        ("sha256", "filename"),
        [(UNKNOWN, WHEEL.filename), (WHEEL.sha256, "demo-2.0-py3-none-any.whl"), (WHEEL.sha256, "six-1.0.tar.gz")],
    )
    async def test_what_the_page_does_not_list_is_not_found(
        self, house: House, wheel: File, sha256: Sha256, filename: str
    ) -> None:
        await cache(house, wheel)
        with pytest.raises(NotFound):
            await house.files.find(READER, house.group, sha256, Filename(filename))

    async def test_knowing_a_digest_opens_nothing(self, make_house: MakeHouse, house: House, wheel: File) -> None:
        await cache(house, wheel)
        denying = [
            replace(ACME, deny=(parse_name_rule("demo"),)),
            replace(ACME, deny=(parse_name_rule("demo==1.0"),)),
            replace(ACME, allow=(parse_name_rule("six"),)),
            replace(ACME, reserved=(parse_name_pattern("demo"),)),
            replace(ACME, forwarding=False),
            replace(ACME, min_age=timedelta(days=1000)),
        ]
        for group in denying:
            other = await make_house(group, upstreams=[house.pypi], store=house.store)
            with pytest.raises(NotFound):
                await other.files.find(READER, group, *named(wheel))
            with pytest.raises(NotFound):
                await other.files.find_metadata(READER, group, *named(wheel))
            with pytest.raises(NotFound):
                await other.files.find_provenance(READER, group, *named(wheel))

    async def test_without_access_nobody_is_asked(self, house: House, wheel: File) -> None:
        with pytest.raises(Unauthorized):
            await house.files.find(NOBODY, house.group, *named(wheel))
        assert house.pypi.asked == []

    async def test_a_file_appears_with_its_page(self, make_house: MakeHouse) -> None:
        house = await make_house(replace(ACME, min_age=WEEK))
        due = START.replace(second=40)
        young = house.pypi.add("demo", WHEEL, upload_time=due - WEEK)
        house.clock.time = due
        with pytest.raises(NotFound):
            await cold_file(house, young)
        house.clock.advance(seconds=20)
        assert await cold_file(house, young)

    async def test_what_the_page_no_longer_lists_is_no_longer_served(self, house: House, wheel: File) -> None:
        await cache(house, wheel)
        await house.files.find(READER, house.group, *named(wheel))
        house.pypi.unlist("demo", wheel)
        house.clock.advance(minutes=10)
        with pytest.raises(NotFound):
            await house.files.find(READER, house.group, *named(wheel))


class TestTrouble:
    async def test_a_cached_file_is_served_by_the_last_good_page(self, house: House, wheel: File) -> None:
        await cold_file(house, wheel)
        await cache(house, wheel)
        house.pypi.trouble = DOWN
        house.clock.advance(days=1)
        assert await read(await house.files.find(READER, house.group, *named(wheel))) == WHEEL.data

    async def test_however_old_that_page_is(self, house: House, wheel: File) -> None:
        await cold_file(house, wheel)
        await cache(house, wheel)
        house.pypi.trouble = DOWN
        house.clock.advance(days=365)
        assert await read(await house.files.find(READER, house.group, *named(wheel))) == WHEEL.data

    async def test_a_name_never_seen_is_the_upstreams_trouble(self, house: House, wheel: File) -> None:
        house.pypi.trouble = DOWN
        with pytest.raises(UpstreamTrouble):
            await house.files.find(READER, house.group, *named(wheel))

    async def test_a_published_file_of_a_merged_name_needs_no_upstream(self, make_house: MakeHouse) -> None:
        house = await make_house(replace(ACME, merge=(parse_name_pattern("demo"),)))
        ours = await upload(house, WHEEL)
        house.pypi.trouble = DOWN
        found = await house.files.find(READER, house.group, ours.digests.sha256, ours.filename)
        assert await read(found) == WHEEL.data
        assert house.pypi.asked == []


class TestLocal:
    async def test_a_published_file_is_here(self, house: House) -> None:
        published = await upload(house, WHEEL)
        found = await house.files.find(READER, house.group, *is_named(WHEEL))
        assert isinstance(found, Stored)
        assert (found.cache_status, found.release) == (cache_status.LOCAL, published.release_id)
        assert await read(found) == WHEEL.data
        assert house.pypi.asked == []

    async def test_the_upstreams_file_of_a_local_name_is_not_found(self, house: House, wheel: File) -> None:
        await upload(house, build_wheel("demo", "9.0"))
        with pytest.raises(NotFound):
            await house.files.find(READER, house.group, *named(wheel))
        assert house.pypi.asked == []

    async def test_a_blob_that_is_gone_is_trouble_and_not_absence(self, house: House) -> None:
        published = await upload(house, WHEEL)
        await house.blobs.delete(published.digests.sha256)
        with pytest.raises(StorageTrouble, match="restore it from a backup"):
            await house.files.find(READER, house.group, *is_named(WHEEL))


class TestUnreadable:
    """What turned out to be unreadable here."""

    async def test_a_cached_file_is_cold_again(self, house: House, wheel: File) -> None:
        await cache(house, wheel)
        found = await house.files.find(READER, house.group, *named(wheel))
        assert isinstance(found, Stored)
        again = await house.files.find_anew(found)
        assert again == Cold(UpstreamFile("pypi", DEMO, wheel), len(WHEEL.data), anew=True)
        async with house.files.fetch(again) as download:
            assert isinstance(download, Download)

    async def test_so_is_one_that_has_lost_bytes(self, house: House, wheel: File) -> None:
        await cache(house, wheel)
        found = await house.files.find(READER, house.group, *named(wheel))
        assert isinstance(found, Stored)
        os.truncate(found.blob.path, 10)
        assert await house.files.find(READER, house.group, *named(wheel)) == await house.files.find_anew(found)

    async def test_metadata_that_was_read_out_of_a_wheel_is_read_again(self, house: House) -> None:
        bare = house.pypi.add("demo", WHEEL, offers_metadata=False)
        found = await house.files.find_metadata(READER, house.group, *named(bare))
        assert isinstance(found, Stored)
        assert await house.files.find_anew(found) == Unkept(WHEEL.metadata, sha256_of(WHEEL.metadata))

    async def test_a_published_file_has_no_other_copy(self, house: House) -> None:
        await upload(house, WHEEL)
        found = await house.files.find(READER, house.group, *is_named(WHEEL))
        assert isinstance(found, Stored)
        with pytest.raises(StorageTrouble, match="data directory"):
            await house.files.find_anew(found)
        os.truncate(found.blob.path, 10)
        with pytest.raises(StorageTrouble, match="data directory"):
            await house.files.find(READER, house.group, *is_named(WHEEL))


class TestCandidates:
    """The name of an old sdist may be split in several ways."""

    ODD = Filename("demo-1.0-1.tar.gz")  # 1 of demo-1-0, or 1.0-1 of demo

    def add(self, house: House, project: str) -> File:
        data = f"bytes of {project}".encode()
        return house.pypi.add(project, BuiltFile(self.ODD, data, sha256_of(data), b""))

    @pytest.mark.parametrize("project", ["demo-1-0", "demo"])
    async def test_each_is_looked_at(self, house: House, project: str) -> None:
        cold = await cold_file(house, self.add(house, project))
        assert cold.file.project == project

    async def test_the_file_is_told_by_its_digest(self, house: House) -> None:
        added = {project: self.add(house, project) for project in ("demo-1-0", "demo")}
        for project, file in added.items():
            assert (await cold_file(house, file)).file.project == project

    async def test_trouble_with_one_keeps_nobody_from_a_file_that_is_here(self, house: House) -> None:
        file = self.add(house, "demo")
        await house.listings.get(READER, house.group, DEMO)
        await cache(house, file)
        house.pypi.trouble = DOWN
        assert isinstance(await house.files.find(READER, house.group, *named(file)), Stored)

    async def test_trouble_is_told_where_no_other_has_it(self, house: House) -> None:
        file = self.add(house, "demo-1-0")
        house.pypi.broken_pages[ProjectName("demo-1-0")] = DOWN
        with pytest.raises(UpstreamTrouble):
            await house.files.find(READER, house.group, *named(file))

    async def test_where_one_is_a_local_name_nobody_is_asked_of_the_others(self, house: House) -> None:
        house.store.claims.add((ACME.id, ProjectName("demo-1-0")))
        file = self.add(house, "demo")
        with pytest.raises(NotFound):
            await house.files.find(READER, house.group, *named(file))
        assert house.pypi.asked == []

    @pytest.mark.parametrize("project", ["demo-1-0", "demo"])
    async def test_a_local_file_is_found_under_any_of_them(self, house: House, project: str) -> None:
        published = await upload(house, build_wheel(project, "1.0"))
        odd = replace_filename(house, published, self.ODD)
        found = await house.files.find(READER, house.group, odd.digests.sha256, self.ODD)
        assert isinstance(found, Stored)
        assert found.release == published.release_id
        assert house.pypi.asked == []

    async def test_to_log_in_is_said_before_that_nothing_is_there(self, make_house: MakeHouse) -> None:
        secret = Project(2, GroupPath("acme/secret"), ACME.path, Visibility.PRIVATE)
        house = await make_house(projects=[PACKAGES, secret])
        with pytest.raises(Unauthorized):
            await house.files.find(READER, house.group, UNKNOWN, self.ODD)
        assert house.pypi.asked == []


class TestSize:
    async def test_the_page_tells_it(self, house: House, wheel: File) -> None:
        assert await house.files.size(await cold_file(house, wheel)) == len(WHEEL.data)
        assert house.pypi.count("size") == 0

    async def test_else_the_upstream_is_asked_without_the_body(self, house: House) -> None:
        file = house.pypi.add("demo", WHEEL, size=None)
        assert await house.files.size(await cold_file(house, file)) == len(WHEEL.data)
        assert (house.pypi.count("size", file.url), house.pypi.sent) == (1, 0)

    async def test_it_may_tell_nothing(self, house: House) -> None:
        file = house.pypi.add("demo", WHEEL, size=None)
        house.pypi.sizes = False
        assert await house.files.size(await cold_file(house, file)) is None


class TestRanges:
    """Of a cold file of 100 KB; a running download is near within 10 KB."""

    @pytest.fixture(autouse=True)
    def near(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "FOLLOW_AHEAD", 10_000)

    async def range_of(self, house: House, file: File, wanted: ByteRange) -> bytes:
        async with house.files.fetch_range(await cold_file(house, file), wanted) as part:
            assert not isinstance(part, Blob)
            return b"".join([chunk async for chunk in part])

    @pytest.mark.parametrize("wanted", [ByteRange(0, 99), ByteRange(70_000, 70_000), ByteRange(SIZE - 500, SIZE - 1)])
    async def test_a_cold_one_is_relayed_and_not_kept(self, house: House, sdist: File, wanted: ByteRange) -> None:
        assert await self.range_of(house, sdist, wanted) == SDIST.data[wanted.first : wanted.last + 1]
        assert house.pypi.asked[-1] == Asked("file", sdist.url, wanted=wanted)
        assert house.pypi.sent == wanted.length
        assert (house.stored(), house.parts()) == (set(), [])

    async def test_near_a_running_download_it_is_followed(self, house: House, sdist: File) -> None:
        gate = Gate()
        house.pypi.files[sdist.url] = Served(SDIST.data, gate=gate, gate_at=30_000)
        async with house.files.fetch(await cold_file(house, sdist)):
            await gate.waiting()
            await until(lambda: house.downloads.find(sdist.sha256).readable > 20_000)  # type: ignore[union-attr]
            assert await self.range_of(house, sdist, ByteRange(1000, 1999)) == SDIST.data[1000:2000]
            ahead = asyncio.create_task(self.range_of(house, sdist, ByteRange(32_000, 32_999)))
            await settle()
            gate.open()
            assert await ahead == SDIST.data[32_000:33_000]
        assert house.pypi.count("file") == 1

    async def test_far_ahead_of_it_it_is_relayed(self, house: House, sdist: File) -> None:
        gate = Gate()
        house.pypi.files[sdist.url] = Served(SDIST.data, gate=gate)
        async with house.files.fetch(await cold_file(house, sdist)):
            await gate.waiting()
            house.pypi.files[sdist.url] = Served(SDIST.data)
            assert await self.range_of(house, sdist, ByteRange(90_000, 90_099)) == SDIST.data[90_000:90_100]
            assert house.pypi.count("file") == 2
            gate.open()

    async def test_an_upstream_without_ranges_is_asked_for_the_whole_once(self, house: House, sdist: File) -> None:
        house.pypi.ranges = False
        assert await self.range_of(house, sdist, ByteRange(100, 199)) == SDIST.data[100:200]
        await until(lambda: house.idle)
        assert house.stored() == {SDIST.sha256}
        assert [asked.wanted for asked in house.pypi.asked[1:]] == [ByteRange(100, 199), None]

    async def test_what_has_come_in_meanwhile_is_read_from_the_cache(self, house: House, sdist: File) -> None:
        house.pypi.ranges = False
        cold = await cold_file(house, sdist)
        await cache(house, sdist)
        async with house.files.fetch_range(cold, ByteRange(0, 9)) as part:
            assert isinstance(part, Blob)

    async def test_trouble_is_passed_on(self, house: House, sdist: File) -> None:
        cold = await cold_file(house, sdist)
        house.pypi.trouble = DOWN
        with pytest.raises(UpstreamTrouble):
            async with house.files.fetch_range(cold, ByteRange(0, 9)):
                pass

    async def test_who_reads_a_wheel_in_parts_has_its_metadata_read_for_those_who_follow(self, house: House) -> None:
        bare = house.pypi.add("demo", WHEEL, offers_metadata=False)
        await self.range_of(house, bare, ByteRange(0, 9))
        await until(lambda: house.idle)
        assert house.stored() == {sha256_of(WHEEL.metadata)}

    async def test_where_the_upstream_offers_it_nothing_is_read(self, house: House, wheel: File) -> None:
        await self.range_of(house, wheel, ByteRange(0, 9))
        await until(lambda: house.idle)
        assert house.pypi.sent == 10


class TestMetadata:
    async def test_a_published_wheels_is_here(self, house: House) -> None:
        await upload(house, WHEEL)
        found = await house.files.find_metadata(READER, house.group, *is_named(WHEEL))
        assert await read(found) == WHEEL.metadata
        assert isinstance(found, Stored)
        assert found.cache_status == cache_status.LOCAL

    async def test_a_published_sdist_has_none(self, house: House) -> None:
        await upload(house, SDIST)
        with pytest.raises(NotFound):
            await house.files.find_metadata(READER, house.group, *is_named(SDIST))

    async def test_what_the_upstream_promises_is_fetched_by_its_digest(self, house: House, wheel: File) -> None:
        found = await house.files.find_metadata(READER, house.group, *named(wheel))
        assert isinstance(found, Cold)
        companion = found.file.file
        assert (companion.url, companion.sha256) == (f"{wheel.url}.metadata", sha256_of(WHEEL.metadata))
        await cache(house, companion)
        assert await read(await house.files.find_metadata(READER, house.group, *named(wheel))) == WHEEL.metadata
        assert house.pypi.count("file") == 1

    async def test_for_a_wheel_without_it_is_read_out_of_the_wheel(self, house: House) -> None:
        bare = house.pypi.add("demo", WHEEL, offers_metadata=False)
        for status in (cache_status.STORED, cache_status.HIT):
            found = await house.files.find_metadata(READER, house.group, *named(bare))
            assert isinstance(found, Stored)
            assert found.cache_status == status
            assert await read(found) == WHEEL.metadata
        assert house.pypi.count("file") == 1

    async def test_when_what_was_read_is_evicted_it_is_read_again(self, house: House) -> None:
        bare = house.pypi.add("demo", WHEEL, offers_metadata=False)
        await house.files.find_metadata(READER, house.group, *named(bare))
        await house.blobs.delete(sha256_of(WHEEL.metadata))
        assert await read(await house.files.find_metadata(READER, house.group, *named(bare))) == WHEEL.metadata

    @pytest.mark.parametrize("promise", [True, {"blake2b": "0" * 64}])
    async def test_so_it_is_where_the_promise_has_no_sha256(
        self, house: House, wheel: File, promise: dict[str, str]
    ) -> None:
        house.pypi.list("demo", structs.replace(wheel, core_metadata=promise))
        assert await read(await house.files.find_metadata(READER, house.group, *named(wheel))) == WHEEL.metadata

    async def test_an_upstreams_sdist_without_it_has_none(self, house: House, sdist: File) -> None:
        with pytest.raises(NotFound):
            await house.files.find_metadata(READER, house.group, *named(sdist))
        assert house.pypi.count("file") == 0


class TestProvenance:
    ATTESTATIONS = '[{"version": 1, "verification_material": {}, "envelope": {}}]'

    async def test_a_published_files_is_made_of_its_attestations(self, house: House) -> None:
        await upload(house, WHEEL, attestations=self.ATTESTATIONS)
        document, status = await house.files.find_provenance(READER, house.group, *is_named(WHEEL))
        assert (document, status) == (provenance_of(self.ATTESTATIONS), cache_status.LOCAL)

    async def test_without_attestations_there_is_none(self, house: House) -> None:
        await upload(house, WHEEL)
        with pytest.raises(NotFound):
            await house.files.find_provenance(READER, house.group, *is_named(WHEEL))

    async def test_the_upstreams_is_fetched_once(self, house: House) -> None:
        file = house.pypi.add("demo", WHEEL, provenance=b'{"version": 1}')
        for status in (cache_status.STORED, cache_status.HIT):
            answer = await house.files.find_provenance(READER, house.group, *named(file))
            assert answer == (b'{"version": 1}', status)
        assert house.pypi.count("provenance") == 1

    async def test_where_the_page_names_none_nobody_is_asked(self, house: House, wheel: File) -> None:
        with pytest.raises(NotFound):
            await house.files.find_provenance(READER, house.group, *named(wheel))
        assert house.pypi.count("provenance") == 0

    async def test_trouble_is_not_remembered(self, house: House) -> None:
        file = house.pypi.add("demo", WHEEL, provenance=b"{}")
        await cold_file(house, file)
        house.pypi.trouble = DOWN
        with pytest.raises(UpstreamTrouble):
            await house.files.find_provenance(READER, house.group, *named(file))
        house.pypi.trouble = None
        assert (await house.files.find_provenance(READER, house.group, *named(file)))[0] == b"{}"

    async def test_one_that_the_upstream_no_longer_has_is_not_found(self, house: House) -> None:
        file = house.pypi.add("demo", WHEEL, provenance=b"{}")
        house.pypi.documents.clear()
        with pytest.raises(NotFound):
            await house.files.find_provenance(READER, house.group, *named(file))

    async def test_one_over_the_bound_is_served_and_not_held(
        self, make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "MAX_PROVENANCE", 10)
        house = await make_house()
        file = house.pypi.add("demo", WHEEL, provenance=b"x" * 11)
        for _ in range(2):
            assert (await house.files.find_provenance(READER, house.group, *named(file)))[0] == b"x" * 11
        assert house.pypi.count("provenance") == 2
