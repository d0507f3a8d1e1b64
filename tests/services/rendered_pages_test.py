"""Simple pages as bytes: rendered once for each form, and tagged by what they say."""

from __future__ import annotations

import asyncio
import gzip
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec import structs

from proxy.core import cache_status
from proxy.core.digests import sha256_of
from proxy.core.errors import NotFound
from proxy.core.model import File, ProjectDetail, ProjectList
from proxy.core.names import GroupPath
from proxy.core.negotiate import Encoding, Representation
from proxy.core.policy import policy_time
from proxy.core.registry import FileUrls, ForwardingMode, Registry, Upstream
from proxy.core.render import render_detail, render_list
from proxy.core.rules import parse_name_rule
from proxy.services import pages
from proxy.services.listings import Elsewhere, Listings
from proxy.services.pages import Form, PageAnswer, Pages, Rendered
from tests.builders import build_wheel
from tests.contracts.samples import listed_file, new_file
from tests.fakes.clock import START, FakeClock
from tests.services.house import ACME, DEMO, PACKAGES, READER, SIX, House, MakeHouse

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.core.names import ProjectName

JSON = Form(Representation.JSON, Encoding.IDENTITY)
FORMS = [Form(representation, encoding) for representation in Representation for encoding in Encoding]
DECODERS: Mapping[Encoding, Callable[[bytes], bytes]] = {
    Encoding.IDENTITY: bytes,
    Encoding.GZIP: gzip.decompress,
    Encoding.ZSTD: zstd.decompress,
}
LARGE = 101  # files: the first size that is rendered in a thread
DAY = timedelta(days=1)


class Renders:
    """Counts renderings, and notes the threads that made them."""

    def __init__(self, render: Callable[..., bytes]) -> None:
        self.threads: list[threading.Thread] = []
        self._render = render

    def __call__(self, detail: ProjectDetail, representation: Representation, **options: str | bool) -> bytes:
        self.threads.append(threading.current_thread())
        return self._render(detail, representation, **options)

    @property
    def count(self) -> int:
        return len(self.threads)


@pytest.fixture
def renders(monkeypatch: pytest.MonkeyPatch) -> Renders:
    counted = Renders(render_detail)
    monkeypatch.setattr(pages, "render_detail", counted)
    return counted


@pytest.fixture(autouse=True)
def demo(house: House) -> File:
    return house.pypi.add("demo", build_wheel("demo", "1.0"))


async def get(house: House, form: Form = JSON, name: ProjectName = DEMO) -> Rendered:
    answer = await house.pages.detail(READER, house.group, name, form)
    assert isinstance(answer, PageAnswer)
    return answer.rendered


def filenames(rendered: Rendered) -> list[str]:
    class Page(msgspec.Struct):
        files: list[dict[str, object]]

    return [str(file["filename"]) for file in msgspec.json.decode(rendered.body, type=Page).files]


def list_many(house: House, number: int, name: str = "demo") -> None:
    house.pypi.list(name, *(listed_file(f"{name}-{version}.tar.gz") for version in range(number)))


class TestForms:
    @pytest.mark.parametrize("form", FORMS, ids=str)
    async def test_a_page_has_the_form_that_was_asked_for(self, house: House, form: Form) -> None:
        body = DECODERS[form.encoding]((await get(house, form)).body)
        assert body == render_detail(house.pypi.pages[DEMO].detail, form.representation)

    async def test_each_representation_and_encoding_has_a_tag_of_its_own(self, house: House) -> None:
        tags = [(await get(house, form)).etag for form in FORMS]
        assert len(set(tags)) == len(FORMS)
        assert all(tag.startswith('"') and tag.endswith('"') and len(tag) > 10 for tag in tags), "strong, quoted"

    async def test_where_the_address_is_secure_provenance_is_linked_there(self, house: House) -> None:
        url = "https://pypi.acme.example/simple/demo/"
        house.pypi.add("demo", build_wheel("demo", "1.0"), provenance=b"{}")
        assert (
            b'data-provenance="https://pypi.acme.example/files/'
            in (await get(house, Form(Representation.HTML, Encoding.IDENTITY, url))).body
        )
        assert b"data-provenance" not in (await get(house, Form(Representation.HTML, Encoding.IDENTITY))).body

    async def test_where_the_config_says_so_files_are_linked_upstream(self, make_house: MakeHouse) -> None:
        house = await make_house(replace(ACME, file_urls=FileUrls.UPSTREAM))
        file = house.pypi.add("demo", build_wheel("demo", "1.0"))
        assert file.url.encode() in (await get(house)).body

    async def test_the_way_it_came_is_told(self, house: House) -> None:
        for status in ("fwd=miss; stored", "hit; ttl=600"):
            answer = await house.pages.detail(READER, house.group, DEMO, JSON)
            assert isinstance(answer, PageAnswer)
            assert answer.cache_status.parameters == status

    async def test_a_refusal_is_passed_on(self, house: House) -> None:
        with pytest.raises(NotFound):
            await get(house, name=SIX)

    async def test_a_redirect_is_passed_on(self, house: House) -> None:
        registry = Registry([ACME], [PACKAGES], [Upstream("pypi", "https://p.example/s/")], ForwardingMode.REDIRECT)
        redirecting = Pages(Listings(registry, house.store, house.upstream_pages), house.clock)
        assert await redirecting.detail(READER, ACME, DEMO, JSON) == Elsewhere("https://p.example/s/demo/")


class TestRenderedOnce:
    async def test_in_each_form(self, house: House, renders: Renders) -> None:
        for _ in range(3):
            for form in FORMS:
                await get(house, form)
        assert renders.count == len(FORMS)

    async def test_a_small_page_is_rendered_on_the_loop(self, house: House, renders: Renders) -> None:
        list_many(house, LARGE - 2)
        await get(house)
        assert renders.threads == [threading.current_thread()]

    async def test_a_large_page_is_rendered_aside_for_all_who_wait(self, house: House, renders: Renders) -> None:
        list_many(house, LARGE)
        rendered = await asyncio.gather(*(get(house) for _ in range(100)))
        assert len({id(one) for one in rendered}) == 1
        assert renders.count == 1
        assert renders.threads != [threading.current_thread()]
        await get(house)
        assert renders.count == 1

    async def test_a_confirmed_page_is_not_rendered_again(self, house: House, renders: Renders) -> None:
        before = await get(house)
        house.clock.advance(minutes=10)
        assert await get(house) is before
        assert (house.pypi.count("page"), renders.count) == (2, 1)

    async def test_a_changed_page_is(self, house: House, renders: Renders) -> None:
        before = await get(house)
        house.pypi.add("demo", build_wheel("demo", "2.0"))
        house.clock.advance(minutes=10)
        after = await get(house)
        assert len(filenames(after)) == 2
        assert after.etag != before.etag
        assert renders.count == 2

    async def test_pages_of_other_groups_are_their_own(self, make_house: MakeHouse) -> None:
        strict = replace(ACME, id=2, path=GroupPath("strict"), deny=(parse_name_rule("demo<2"),))
        house = await make_house(ACME, strict)
        house.pypi.add("demo", build_wheel("demo", "1.0"))
        shown = []
        for group in (ACME, strict):
            answer = await house.pages.detail(READER, group, DEMO, JSON)
            assert isinstance(answer, PageAnswer)
            shown.append(len(filenames(answer.rendered)))
        assert shown == [1, 0]

    async def test_learnt_core_metadata_makes_another_page(self, house: House) -> None:
        bare = house.pypi.add("demo", build_wheel("demo", "1.0"), offers_metadata=False)
        before = await get(house)
        read = sha256_of(b"metadata")
        await house.upstream_pages.learn("pypi", DEMO, bare.sha256, read)
        after = await get(house)
        assert after.etag != before.etag
        assert read.encode() in after.body

    async def test_no_more_than_the_bound_is_held(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        list_many(house, 3)
        size = len((await get(house)).body)
        monkeypatch.setattr(pages, "MAX_RENDERED", 2 * size + 10)
        counted = Renders(render_detail)
        monkeypatch.setattr(pages, "render_detail", counted)
        small = Pages(house.listings, house.clock)
        for form in (JSON, JSON._replace(url="x"), JSON._replace(url="y"), JSON):
            await small.detail(READER, house.group, DEMO, form)
        assert counted.count == 4, "the first was dropped for the third"

    async def test_a_page_over_half_the_bound_is_not_held(
        self, house: House, monkeypatch: pytest.MonkeyPatch, renders: Renders
    ) -> None:
        monkeypatch.setattr(pages, "MAX_RENDERED", 100)
        small = Pages(house.listings, house.clock)
        for _ in range(2):
            await small.detail(READER, house.group, DEMO, JSON)
        assert renders.count == 2


class TestByTheMinute:
    @pytest.fixture
    async def house(self, make_house: MakeHouse) -> House:
        """At 12:30:15, of a group where files have to be a week old."""
        return await make_house(replace(ACME, min_age=7 * DAY), clock=FakeClock(START))

    def test_policy_goes_by_the_minute(self) -> None:
        assert policy_time(START.replace(second=59, microsecond=999)) == START.replace(second=0)

    async def test_within_it_a_page_is_rendered_once(self, house: House, renders: Renders) -> None:
        await get(house)
        house.clock.advance(seconds=44)
        await get(house)
        assert renders.count == 1

    async def test_at_the_next_one_it_is_judged_anew(self, house: House, renders: Renders) -> None:
        before = await get(house)
        house.clock.advance(seconds=45)
        after = await get(house)
        assert renders.count == 2
        assert after.etag == before.etag, "nothing has changed"

    async def test_a_file_appears_with_the_minute(self, house: House) -> None:
        due = START.replace(second=40)
        young = house.pypi.add("demo", build_wheel("demo", "2.0"), upload_time=due - 7 * DAY)
        house.clock.time = due
        assert young.filename not in filenames(await get(house))
        house.clock.advance(seconds=20)
        assert young.filename in filenames(await get(house))

    async def test_without_min_age_time_changes_nothing(self, make_house: MakeHouse, renders: Renders) -> None:
        house = await make_house()
        house.pypi.add("demo", build_wheel("demo", "1.0"))
        for _ in range(3):
            await get(house)
            house.clock.advance(minutes=1)
        assert renders.count == 1


class TestTags:
    async def test_they_survive_a_restart(self, make_house: MakeHouse, house: House) -> None:
        before = [(await get(house, form)).etag for form in FORMS]
        restarted = await make_house(upstreams=[house.pypi], store=house.store, clock=house.clock)
        assert [(await get(restarted, form)).etag for form in FORMS] == before
        assert house.pypi.count() == 1

    async def test_they_are_the_same_wherever_the_page_is_made(self, make_house: MakeHouse, house: House) -> None:
        other = await make_house(upstreams=[house.pypi])
        assert (await get(other)).etag == (await get(house)).etag


class TestLocal:
    async def publish(self, house: House, version: str = "1.0") -> int:
        file = await house.store.publish(new_file("six", version), root=ACME.id, now=START)
        return file.id

    async def test_a_local_page_is_rendered_once(self, house: House, renders: Renders) -> None:
        await self.publish(house)
        for _ in range(3):
            answer = await house.pages.detail(READER, house.group, SIX, JSON)
            assert isinstance(answer, PageAnswer)
            assert answer.cache_status == cache_status.LOCAL
            house.clock.advance(days=1)
        assert renders.count == 1

    async def test_what_is_published_is_seen_at_once(self, house: House) -> None:
        await self.publish(house)
        before = await get(house, name=SIX)
        await self.publish(house, "2.0")
        after = await get(house, name=SIX)
        assert len(filenames(after)) == 2
        assert after.etag != before.etag

    async def test_so_is_a_yank_and_its_reason(self, house: House) -> None:
        file = await self.publish(house)
        tags = [(await get(house, name=SIX)).etag]
        for reason in ("broken", "", None):
            await house.store.save_yank([file], reason)
            tags.append((await get(house, name=SIX)).etag)
        assert len(set(tags)) == 3
        assert tags[0] == tags[-1]

    async def test_the_root_index_is_rendered_in_each_form(self, house: House) -> None:
        await self.publish(house)
        for form in FORMS:
            answer = await house.pages.root(READER, house.group, form)
            body = DECODERS[form.encoding](answer.rendered.body)
            assert body == render_list(ProjectList((SIX,)), form.representation)
            assert answer.cache_status == cache_status.LOCAL
            assert (await house.pages.root(READER, house.group, form)).rendered is answer.rendered

    async def test_an_empty_root_index_is_a_page(self, house: House) -> None:
        answer = await house.pages.root(READER, house.group, JSON)
        assert answer.rendered.body == render_list(ProjectList(()), Representation.JSON)

    async def test_a_large_root_index_is_rendered_once_for_all(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(LARGE):
            upload = structs.replace(new_file(f"name-{number}"))
            await house.store.publish(upload, root=ACME.id, now=START)
        counted: list[threading.Thread] = []

        def render(listed: ProjectList, representation: Representation) -> bytes:
            counted.append(threading.current_thread())
            return render_list(listed, representation)

        monkeypatch.setattr(pages, "render_list", render)
        await asyncio.gather(*(house.pages.root(READER, house.group, JSON) for _ in range(10)))
        assert len(counted) == 1
        assert counted != [threading.current_thread()]
