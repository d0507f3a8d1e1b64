"""What a caller sees of a name: the decision carried out, as a page and file by file."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from proxy.core import cache_status
from proxy.core.access import Anonymous, anonymous
from proxy.core.cache_status import Source
from proxy.core.errors import Forbidden, NotFound, Unauthorized, UpstreamTrouble
from proxy.core.model import ProjectStatus, Status
from proxy.core.names import Filename, GroupPath
from proxy.core.policy import Rule
from proxy.core.registry import ForwardingMode, Project, Registry, Upstream, Visibility
from proxy.core.rules import parse_name_pattern, parse_name_rule
from proxy.services.listings import PATIENCE, Elsewhere, Listing, Listings, UpstreamFile, first_refusal
from tests.builders import build_sdist, build_wheel
from tests.contracts.samples import new_file
from tests.fakes.clock import START
from tests.fakes.gate import Gate, settle, until
from tests.fakes.upstream import FakeUpstream
from tests.services.house import ACME, DEMO, PACKAGES, READER, SIX, House, MakeHouse, named

if TYPE_CHECKING:
    from proxy.core.local import LocalFile
    from proxy.core.names import ProjectName

SECRET = Project(2, GroupPath("acme/secret"), ACME.path, Visibility.PRIVATE)
MERGING = replace(ACME, merge=(parse_name_pattern("demo"),))
QUARANTINE = ProjectStatus(Status.QUARANTINED, "malware")
DAY = timedelta(days=1)
SOON = timedelta(milliseconds=50)


async def publish(house: House, name: str = "demo", version: str = "9.0", project: Project = PACKAGES) -> LocalFile:
    """A row alone: these tests read no bytes."""
    upload = new_file(name, version, project_id=project.id, content=f"{project.id} {name} {version}")
    return await house.store.publish(upload, root=ACME.id, now=house.clock.now())


async def listing_of(house: House, name: ProjectName = DEMO) -> Listing:
    listing = await house.listings.get(READER, house.group, name)
    assert isinstance(listing, Listing)
    return listing


async def shown(house: House, name: ProjectName = DEMO) -> list[str]:
    """The names of the files on the page, which must be those that can be found."""
    listing = await listing_of(house, name)
    files = listing.detail(house.clock.now()).files
    for file in files:
        assert listing.find(*named(file), house.clock.now()) is not None
    return [file.filename for file in files]


class TestLocal:
    async def test_a_local_name_is_never_asked_of_an_upstream(self, house: House) -> None:
        house.pypi.add("demo", build_wheel("demo", "1.0"))
        ours = await publish(house)
        assert await shown(house) == [ours.filename]
        assert (await listing_of(house)).cache_status == cache_status.LOCAL
        assert house.pypi.asked == []

    async def test_its_page_is_what_was_published(self, house: House) -> None:
        files = [await publish(house, version=version) for version in ("10.0", "9.0")]
        detail = (await listing_of(house)).detail(START)
        assert detail.files == tuple(file.listed() for file in files)
        assert detail.versions == ("9.0", "10.0")
        assert detail.status == ProjectStatus()

    async def test_a_name_once_held_stays_local(self, house: House) -> None:
        house.pypi.add("demo", build_wheel("demo", "1.0"))
        house.store.claims.add((ACME.id, DEMO))
        with pytest.raises(NotFound):
            await listing_of(house)
        assert house.pypi.asked == []

    async def test_its_status_is_shown(self, house: House) -> None:
        await publish(house)
        await house.store.save_status(PACKAGES.id, DEMO, ProjectStatus(Status.ARCHIVED, "done"))
        assert (await listing_of(house)).detail(START).status == ProjectStatus(Status.ARCHIVED, "done")

    async def test_a_quarantined_project_offers_no_files(self, house: House) -> None:
        ours = await publish(house)
        await house.store.save_status(PACKAGES.id, DEMO, QUARANTINE)
        listing = await listing_of(house)
        assert listing.detail(START).files == ()
        assert listing.detail(START).versions == ()
        assert listing.detail(START).status == QUARANTINE
        assert listing.find(ours.digests.sha256, ours.filename, START) is None

    async def test_files_of_projects_that_the_caller_may_not_read_are_not_shown(self, make_house: MakeHouse) -> None:
        house = await make_house(projects=[PACKAGES, SECRET])
        ours = await publish(house)
        await publish(house, version="10.0", project=SECRET)
        listing = await house.listings.get(READER, PACKAGES, DEMO)
        assert isinstance(listing, Listing)
        assert listing.detail(START).files == (ours.listed(),)

    async def test_digest_and_name_must_both_be_right(self, house: House) -> None:
        ours, other = await publish(house), await publish(house, version="10.0")
        listing = await listing_of(house)
        assert listing.find(ours.digests.sha256, ours.filename, START) == ours
        assert listing.find(other.digests.sha256, ours.filename, START) is None
        assert listing.find(ours.digests.sha256, Filename("other.zip"), START) is None

    async def test_the_root_index_lists_local_names_that_the_caller_may_read(self, make_house: MakeHouse) -> None:
        house = await make_house(projects=[PACKAGES, SECRET])
        house.pypi.add("requests", build_wheel("requests", "1.0"))
        for name, project in (("six", PACKAGES), ("demo", PACKAGES), ("hidden", SECRET)):
            await publish(house, name, project=project)
        assert (await house.listings.names(READER, house.group)).names == (DEMO, SIX)
        assert house.pypi.asked == []

    async def test_without_access_there_is_no_index(self, house: House) -> None:
        nobody = anonymous(Anonymous.NONE)
        with pytest.raises(Unauthorized):
            await house.listings.names(nobody, house.group)
        with pytest.raises(Unauthorized):
            await house.listings.get(nobody, house.group, DEMO)
        assert house.pypi.asked == []


class TestForwarded:
    async def test_the_upstreams_page_is_shown(self, house: House) -> None:
        file = house.pypi.add("demo", build_wheel("demo", "1.0"))
        listing = await listing_of(house)
        assert listing.detail(START) == house.pypi.pages[DEMO].detail
        assert listing.find(*named(file), START) == UpstreamFile("pypi", DEMO, file)
        assert listing.cache_status == cache_status.STORED

    async def test_an_absent_project_is_not_found_by_that_rule(self, house: House) -> None:
        with pytest.raises(NotFound, match="404 Package Not Found") as caught:
            await listing_of(house)
        assert caught.value.rule == Rule.UPSTREAMS

    async def test_the_first_upstream_that_has_the_project_answers(self, make_house: MakeHouse) -> None:
        first, second, third = (FakeUpstream(name) for name in ("first", "second", "third"))
        for upstream in (second, third):
            upstream.add("demo", build_wheel("demo", "1.0", modules={"demo.py": upstream.name}))
        group = replace(ACME, upstreams=("first", "second", "third"))
        house = await make_house(group, upstreams=[first, second, third])
        found = (await listing_of(house)).find(*named(second.pages[DEMO].detail.files[0]), START)
        assert isinstance(found, UpstreamFile)
        assert found.upstream == "second"
        assert (first.count(), third.count()) == (1, 0)

    async def test_trouble_ends_the_search(self, make_house: MakeHouse) -> None:
        first, second = FakeUpstream("first"), FakeUpstream("second")
        second.add("demo", build_wheel("demo", "1.0"))
        first.trouble = UpstreamTrouble("down")
        house = await make_house(replace(ACME, upstreams=("first", "second")), upstreams=[first, second])
        with pytest.raises(UpstreamTrouble):
            await listing_of(house)
        assert second.count() == 0

    async def test_a_refusal_asks_nobody(self, make_house: MakeHouse) -> None:
        house = await make_house(replace(ACME, reserved=(parse_name_pattern("de*"),)))
        house.pypi.add("demo", build_wheel("demo", "1.0"))
        with pytest.raises(NotFound) as caught:
            await listing_of(house)
        assert caught.value.rule == Rule.RESERVED
        assert house.pypi.asked == []

    async def test_its_status_is_the_upstreams(self, house: House) -> None:
        house.pypi.add("demo", build_wheel("demo", "1.0"))
        house.pypi.list("demo", status=ProjectStatus(Status.DEPRECATED, "use six"))
        assert (await listing_of(house)).detail(START).status == ProjectStatus(Status.DEPRECATED, "use six")

    async def test_by_redirect_the_caller_is_sent_to_the_first_upstream(self, house: House) -> None:
        ours = await publish(house, "six")
        upstream = Upstream("pypi", "https://pypi.example/simple/")
        registry = Registry([ACME], [PACKAGES], [upstream], ForwardingMode.REDIRECT)
        listings = Listings(registry, house.store, house.upstream_pages)
        assert await listings.get(READER, ACME, DEMO) == Elsewhere("https://pypi.example/simple/demo/")
        local = await listings.get(READER, ACME, SIX)
        assert isinstance(local, Listing)
        assert local.local == (ours,)
        assert house.pypi.asked == []


class TestTime:
    """All upstreams that are asked for a name share one patience."""

    def listings_of(
        self, house: House, patience: timedelta = SOON, page_timeout: timedelta = timedelta(0)
    ) -> Listings:
        upstreams = [Upstream(name, f"https://{name}.example/", page_timeout=page_timeout) for name in house.upstreams]
        registry = Registry([house.group], [PACKAGES], upstreams)
        return Listings(registry, house.store, house.upstream_pages, patience)

    @pytest.fixture
    async def house(self, make_house: MakeHouse) -> House:
        """The second of two upstreams has the project."""
        first, second = FakeUpstream("first"), FakeUpstream("second")
        second.add("demo", build_wheel("demo", "1.0"))
        return await make_house(replace(ACME, upstreams=("first", "second")), upstreams=[first, second])

    @pytest.mark.parametrize("slow", ["first", "second"])
    async def test_when_it_is_over_the_search_ends_in_trouble(self, house: House, slow: str) -> None:
        listings = self.listings_of(house)
        house.upstreams[slow].page_gate = Gate()
        with pytest.raises(UpstreamTrouble, match="in time"):
            await listings.get(READER, house.group, DEMO)

    async def test_what_was_asked_for_is_there_for_the_next(self, house: House) -> None:
        listings = self.listings_of(house)
        gate = house.upstreams["second"].page_gate = Gate()
        with pytest.raises(UpstreamTrouble):
            await listings.get(READER, house.group, DEMO)
        gate.open()
        await until(lambda: ("second", DEMO) in house.store.pages)
        listing = await listings.get(READER, house.group, DEMO)
        assert isinstance(listing, Listing)
        assert listing.cache_status.source is Source.HIT
        assert house.upstreams["second"].count() == 1

    async def test_a_longer_page_timeout_stretches_it(self, house: House) -> None:
        listings = self.listings_of(house, timedelta(0), timedelta(hours=1))
        gate = house.upstreams["second"].page_gate = Gate()
        asking = asyncio.create_task(listings.get(READER, house.group, DEMO))
        await gate.waiting()
        await settle()
        assert not asking.done()
        gate.open()
        await asking

    async def test_files_are_bound_by_it_too(self, house: House) -> None:
        listings = self.listings_of(house)
        house.upstreams["first"].page_gate = Gate()
        file = house.upstreams["second"].pages[DEMO].detail.files[0]
        with pytest.raises(UpstreamTrouble, match="in time"):
            await listings.find_file(READER, house.group, DEMO, *named(file), START)

    def test_by_default_an_answer_is_due_within_ten_seconds(self) -> None:
        default = Upstream("pypi", "https://pypi.example/").page_timeout
        assert default < PATIENCE < timedelta(seconds=10)


class TestFilters:
    async def test_denied_versions_are_neither_shown_nor_served(self, make_house: MakeHouse) -> None:
        house = await make_house(replace(ACME, deny=(parse_name_rule("demo<2"),)))
        files = [house.pypi.add("demo", build_wheel("demo", version)) for version in ("1.0", "2.0", "3.0")]
        assert await shown(house) == [file.filename for file in files[1:]]
        listing = await listing_of(house)
        assert listing.find(*named(files[0]), START) is None
        assert listing.detail(START).versions == ("2.0", "3.0")

    async def test_where_only_some_versions_are_allowed_the_others_are_hidden(self, make_house: MakeHouse) -> None:
        house = await make_house(replace(ACME, allow=(parse_name_rule("demo==2.*"),)))
        for version in ("1.0", "2.0", "2.1"):
            house.pypi.add("demo", build_sdist("demo", version))
        assert await shown(house) == ["demo-2.0.tar.gz", "demo-2.1.tar.gz"]

    async def test_young_files_appear_when_they_are_old_enough(self, make_house: MakeHouse) -> None:
        house = await make_house(replace(ACME, min_age=7 * DAY))
        old = house.pypi.add("demo", build_wheel("demo", "1.0"), upload_time=START - 30 * DAY)
        young = house.pypi.add("demo", build_wheel("demo", "2.0"), upload_time=START - 6 * DAY)
        house.pypi.add("demo", build_wheel("demo", "3.0"), upload_time=None)
        assert await shown(house) == [old.filename]
        assert (await listing_of(house)).find(*named(young), START) is None
        house.clock.advance(days=1)
        assert await shown(house) == [old.filename, young.filename]

    async def test_where_all_is_hidden_an_empty_page_remains(self, make_house: MakeHouse) -> None:
        house = await make_house(replace(ACME, min_age=7 * DAY))
        house.pypi.add("demo", build_wheel("demo", "1.0"), upload_time=START)
        detail = (await listing_of(house)).detail(START)
        assert (detail.files, detail.versions) == ((), ())

    async def test_filters_do_not_speak_of_local_files(self, make_house: MakeHouse) -> None:
        house = await make_house(replace(ACME, min_age=7 * DAY, deny=(parse_name_rule("demo"),)))
        ours = await publish(house)
        assert await shown(house) == [ours.filename]


class TestMerge:
    @pytest.fixture
    async def house(self, make_house: MakeHouse) -> House:
        return await make_house(MERGING)

    async def test_local_files_come_first_and_versions_in_order(self, house: House) -> None:
        theirs = [house.pypi.add("demo", build_wheel("demo", version)) for version in ("10.0", "1.0")]
        ours = await publish(house, version="9.0")
        assert await shown(house) == [ours.filename, *(file.filename for file in theirs)]
        listing = await listing_of(house)
        assert listing.detail(START).versions == ("1.0", "9.0", "10.0")
        assert listing.cache_status.source is Source.HIT

    async def test_a_local_file_shadows_the_upstreams_of_its_name(self, house: House) -> None:
        theirs = house.pypi.add("demo", build_wheel("demo", "9.0"))
        ours = await publish(house, version="9.0")
        assert ours.filename == theirs.filename
        assert await shown(house) == [ours.filename]
        listing = await listing_of(house)
        assert listing.find(*named(theirs), START) is None
        assert listing.find(ours.digests.sha256, ours.filename, START) == ours

    async def test_a_quarantined_local_file_does_not_uncover_the_upstreams(self, house: House) -> None:
        theirs = [house.pypi.add("demo", build_wheel("demo", version)) for version in ("1.0", "9.0")]
        await publish(house, version="9.0")
        await house.store.save_status(PACKAGES.id, DEMO, QUARANTINE)
        listing = await listing_of(house)
        assert listing.find(*named(theirs[1]), START) is None
        assert theirs[1].filename not in [file.filename for file in listing.detail(START).files]

    async def test_without_local_files_the_upstream_answers(self, house: House) -> None:
        theirs = house.pypi.add("demo", build_wheel("demo", "1.0"))
        house.store.claims.add((ACME.id, DEMO))
        assert await shown(house) == [theirs.filename]

    async def test_an_absent_upstream_project_leaves_the_local_files(self, house: House) -> None:
        ours = await publish(house)
        assert await shown(house) == [ours.filename]

    async def test_the_local_status_counts_where_there_is_one(self, house: House) -> None:
        house.pypi.add("demo", build_wheel("demo", "1.0"))
        house.pypi.list("demo", status=ProjectStatus(Status.DEPRECATED))
        await publish(house)
        assert (await listing_of(house)).detail(START).status.status is Status.DEPRECATED
        await house.store.save_status(PACKAGES.id, DEMO, ProjectStatus(Status.ARCHIVED))
        assert (await listing_of(house)).detail(START).status.status is Status.ARCHIVED

    async def test_filters_speak_of_the_upstreams_files_alone(self, make_house: MakeHouse) -> None:
        house = await make_house(replace(MERGING, deny=(parse_name_rule("demo>=2"),)))
        house.pypi.add("demo", build_wheel("demo", "1.0"))
        house.pypi.add("demo", build_wheel("demo", "3.0"))
        await publish(house, version="9.0")
        assert await shown(house) == ["demo-9.0-py3-none-any.whl", "demo-1.0-py3-none-any.whl"]


async def test_a_version_that_was_spelled_in_another_way_is_normalized_once(house: House) -> None:
    for version in ("1.0", "v1.0"):
        upload = structs.replace(new_file(version=version), filename=Filename(f"demo-{version}.zip"))
        await house.store.publish(upload, root=ACME.id, now=START)
    assert (await listing_of(house)).detail(START).versions == ("1.0",)


def test_to_log_in_is_said_before_that_nothing_is_there() -> None:
    absent, unknown, forbidden = NotFound("404"), Unauthorized("401"), Forbidden("403")
    assert first_refusal([absent]) is absent
    assert first_refusal([absent, unknown]) is unknown
    assert first_refusal([absent, forbidden, absent]) is forbidden
