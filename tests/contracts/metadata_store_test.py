"""What every MetadataStore promises. A new adapter joins by one more branch of `open_by_name`."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from proxy.core.digests import sha256_of
from proxy.core.distributions import Kind
from proxy.core.errors import NameTaken
from proxy.core.model import File, PageEntry, ProjectDetail, ProjectStatus, Skipped, Status, Validators
from proxy.core.names import parse_filename, parse_project_name
from proxy.core.policy import LocalFacts
from proxy.ports import PageFacts, PageVersion
from proxy.sqlite.store import open_store
from tests.contracts.samples import DEMO, NOW, digests_of, listed_file, new_file, page_entry
from tests.fakes.metadata_store import MemoryMetadataStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.core.local import LocalFile
    from proxy.ports import MetadataStore

LATER = NOW + timedelta(hours=1)
MANY_IDS = range(1, 5_001)


@asynccontextmanager
async def open_by_name(adapter: str, directory: Path) -> AsyncIterator[MetadataStore]:
    if adapter == "memory":
        yield MemoryMetadataStore()
    else:
        async with open_store(directory / "store.db") as store:
            yield store


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MetadataStore]:
    async with open_by_name(request.param, tmp_path) as opened:
        yield opened


async def test_a_probe_of_a_sound_store_passes_each_time(store: MetadataStore) -> None:
    await store.probe()
    await store.probe()


class TestPages:
    async def test_an_unknown_page_is_none(self, store: MetadataStore) -> None:
        assert await store.find_page("pypi", DEMO) is None

    async def test_what_is_known_of_a_page_is_told_without_it(self, store: MetadataStore) -> None:
        assert await store.find_page_facts("pypi", DEMO) is None
        entry = structs.replace(page_entry(), validators=Validators('"x"', None), links="a b", serial=7)
        await store.save_page(entry)
        version = PageVersion(Validators('"x"', None), "a b", 7)
        assert await store.find_page_facts("pypi", entry.detail.name) == PageFacts(entry.checked_at, version)
        assert await store.confirm_page(structs.replace(entry, checked_at=LATER))
        assert await store.find_page_facts("pypi", entry.detail.name) == PageFacts(LATER, version)

    async def test_a_page_comes_back_as_it_was_saved(self, store: MetadataStore) -> None:
        entry = PageEntry(
            upstream="pypi",
            detail=ProjectDetail(
                DEMO,
                files=(
                    listed_file("demo-1.0.tar.gz"),
                    File("demo-2.0.zip", "https://files.example/2", {"sha256": "0" * 64, "md5": "1" * 32}),
                    File(
                        "demo-3.0.zip", "https://files.example/3", {"sha256": "2" * 64}, 0, "", None, "brækker", True
                    ),
                    File("demo-4.0.zip", "https://files.example/4", {"sha256": "3" * 64}, yanked=True, provenance="p"),
                ),
                versions=("1.0", "2.0", "3.0", "4.0"),
                status=ProjectStatus(Status.DEPRECATED, "moved"),
                skipped=(Skipped("demo-0.exe", "no sha256"),),
            ),
            validators=Validators('W/"x"', "Wed, 21 Oct 2015 07:28:00 GMT"),
            checked_at=NOW,
            links="pypi.org files.pythonhosted.org",
            serial=2**59,
        )
        await store.save_page(entry)
        assert await store.find_page("pypi", DEMO) == entry

    async def test_a_page_without_files_and_validators_is_a_page(self, store: MetadataStore) -> None:
        entry = PageEntry("pypi", ProjectDetail(DEMO), Validators(), NOW)
        await store.save_page(entry)
        assert await store.find_page("pypi", DEMO) == entry

    @pytest.mark.parametrize("files", [256, 257, 3_000])
    async def test_a_page_of_many_files_keeps_them_in_order(self, store: MetadataStore, files: int) -> None:
        entry = page_entry(files=files)
        await store.save_page(entry)
        assert await store.find_page("pypi", DEMO) == entry

    async def test_saving_replaces_the_whole_entry(self, store: MetadataStore) -> None:
        await store.save_page(page_entry(files=3, etag='"old"'))
        entry = PageEntry("pypi", ProjectDetail(DEMO, (listed_file("demo-9.tar.gz"),)), Validators(None, "x"), LATER)
        await store.save_page(entry)
        assert await store.find_page("pypi", DEMO) == entry

    async def test_a_serial_is_replaced_and_outlives_a_confirmation(self, store: MetadataStore) -> None:
        entry = page_entry()
        for serial in (7, 0, None, 8):
            entry = structs.replace(entry, serial=serial)
            await store.save_page(entry)
            assert await store.find_page("pypi", DEMO) == entry
            assert await store.confirm_page(structs.replace(entry, checked_at=LATER))
            assert await store.find_page("pypi", DEMO) == structs.replace(entry, checked_at=LATER)

    async def test_pages_of_other_upstreams_and_names_are_apart(self, store: MetadataStore) -> None:
        entries = [page_entry("demo"), page_entry("demo", upstream="other", files=2), page_entry("six", files=3)]
        for entry in entries:
            await store.save_page(entry)
        for entry in entries:
            assert await store.find_page(entry.upstream, entry.detail.name) == entry

    async def test_confirming_moves_checked_at_alone(self, store: MetadataStore) -> None:
        entry = page_entry()
        await store.save_page(entry)
        await store.save_page(page_entry("six"))
        assert await store.confirm_page(structs.replace(entry, checked_at=LATER))
        assert await store.find_page("pypi", DEMO) == structs.replace(entry, checked_at=LATER)
        assert await store.find_page("pypi", parse_project_name("six")) == page_entry("six")

    async def test_confirming_an_unknown_page_makes_none(self, store: MetadataStore) -> None:
        assert not await store.confirm_page(page_entry())
        assert await store.find_page("pypi", DEMO) is None

    @pytest.mark.parametrize(
        "other",
        [
            page_entry(etag='"other"'),
            page_entry(etag=None),
            structs.replace(page_entry(), links="https other.example:443"),
            structs.replace(page_entry(), serial=7),
        ],
    )
    async def test_confirming_another_page_than_is_kept_changes_nothing(
        self, store: MetadataStore, other: PageEntry
    ) -> None:
        await store.save_page(page_entry())
        assert not await store.confirm_page(structs.replace(other, checked_at=LATER))
        assert await store.find_page("pypi", DEMO) == page_entry()

    async def test_a_deleted_page_is_gone_and_can_be_saved_again(self, store: MetadataStore) -> None:
        await store.save_page(page_entry(files=2))
        await store.save_page(page_entry(upstream="other"))
        await store.delete_page("pypi", DEMO)
        assert await store.find_page("pypi", DEMO) is None
        assert await store.find_page("other", DEMO) == page_entry(upstream="other")
        await store.save_page(page_entry(files=5))
        assert await store.find_page("pypi", DEMO) == page_entry(files=5)

    async def test_deleting_an_unknown_page_is_harmless(self, store: MetadataStore) -> None:
        await store.delete_page("pypi", DEMO)

    @pytest.mark.parametrize(
        "instant",
        [
            datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
            datetime(2038, 1, 19, 3, 14, 8, 1, tzinfo=UTC),
            datetime(2026, 3, 1, 1, 0, 0, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))),
            datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        ],
    )
    async def test_instants_are_exact_to_the_microsecond(self, store: MetadataStore, instant: datetime) -> None:
        await store.save_page(structs.replace(page_entry(), checked_at=instant))
        found = await store.find_page("pypi", DEMO)
        assert found is not None
        assert found.checked_at == instant
        assert found.checked_at.utcoffset() is not None


class TestPublish:
    async def test_a_published_file_is_what_was_uploaded(self, store: MetadataStore) -> None:
        file = new_file(
            "My.Demo",
            "1.0+local.1",
            project_id=7,
            kind=Kind.SDIST,
            requires_python=">=3.8, <4",
            core_metadata=sha256_of(b"metadata"),
            attestations="[{}]",
            published_by="müller",
        )
        published = await store.publish(file, root=1, now=NOW)
        assert published.project_id == 7
        assert published.name == "my-demo"
        assert (published.raw_name, published.version) == ("My.Demo", "1.0+local.1")
        assert (published.filename, published.kind) == (file.filename, Kind.SDIST)
        assert published.digests == file.digests
        assert published.requires_python == ">=3.8, <4"
        assert published.core_metadata == file.core_metadata
        assert published.has_provenance
        assert published.uploaded_at == NOW
        assert published.published_by == "müller"
        assert published.yanked is None
        assert list(await store.list_files([7], published.name)) == [published]

    async def test_what_an_upload_does_not_give_is_absent(self, store: MetadataStore) -> None:
        published = await store.publish(new_file(), root=1, now=NOW)
        assert published.core_metadata is None
        assert not published.has_provenance
        assert published.requires_python == ""

    async def test_the_name_is_taken_whatever_the_bytes(self, store: MetadataStore) -> None:
        first = await store.publish(new_file(content="one"), root=1, now=NOW)
        for content in ("one", "two"):
            with pytest.raises(NameTaken, match=r"^Validation failed: File name has already been taken$"):
                await store.publish(new_file(content=content), root=1, now=LATER)
        assert list(await store.list_files([1], DEMO)) == [first]

    async def test_another_spelling_of_the_project_does_not_free_the_file_name(self, store: MetadataStore) -> None:
        await store.publish(new_file("my_demo"), root=1, now=NOW)
        with pytest.raises(NameTaken):
            await store.publish(new_file("My.Demo"), root=1, now=NOW)

    async def test_a_refused_upload_leaves_no_claim(self, store: MetadataStore) -> None:
        await store.publish(new_file(), root=1, now=NOW)
        with pytest.raises(NameTaken):
            await store.publish(new_file(), root=2, now=NOW)
        assert await store.find_facts(2, [], DEMO) == LocalFacts()

    async def test_other_projects_may_hold_the_same_file_name(self, store: MetadataStore) -> None:
        first = await store.publish(new_file(project_id=1), root=1, now=NOW)
        second = await store.publish(new_file(project_id=2), root=1, now=NOW)
        assert first.release_id != second.release_id
        assert list(await store.list_files([1, 2], DEMO)) == [first, second]

    async def test_a_file_name_in_other_case_is_another(self, store: MetadataStore) -> None:
        await store.publish(new_file(), root=1, now=NOW)
        upper = structs.replace(new_file(), filename=parse_filename("DEMO-1.0-py3-none-any.whl"))
        await store.publish(upper, root=1, now=NOW)
        assert len(await store.list_files([1], DEMO)) == 2

    async def test_a_new_file_of_a_version_joins_its_release(self, store: MetadataStore) -> None:
        wheel = await store.publish(new_file(kind=Kind.WHEEL), root=1, now=NOW)
        sdist = await store.publish(new_file(kind=Kind.SDIST), root=1, now=LATER)
        assert wheel.release_id == sdist.release_id
        assert wheel.id < sdist.id

    async def test_a_release_is_known_by_raw_name_and_raw_version(self, store: MetadataStore) -> None:
        uploads = [new_file(version="1.0"), new_file(version="1.0.0"), new_file("Demo", "1.0", kind=Kind.SDIST)]
        published = [await store.publish(upload, root=1, now=NOW) for upload in uploads]
        assert len({file.release_id for file in published}) == 3
        assert list(await store.list_files([1], DEMO)) == published

    async def test_of_many_at_once_exactly_one_wins(self, store: MetadataStore) -> None:
        uploads = [new_file(content=f"bytes {number}") for number in range(50)]
        answers = await asyncio.gather(
            *(store.publish(upload, root=1, now=NOW) for upload in uploads), return_exceptions=True
        )
        won = [answer for answer in answers if not isinstance(answer, BaseException)]
        assert len(won) == 1
        assert sum(isinstance(answer, NameTaken) for answer in answers) == 49
        assert list(await store.list_files([1], DEMO)) == won

    async def test_many_different_at_once_all_arrive(self, store: MetadataStore) -> None:
        uploads = [new_file(version=f"1.{number}") for number in range(50)]
        published = await asyncio.gather(*(store.publish(upload, root=1, now=NOW) for upload in uploads))
        assert list(await store.list_files([1], DEMO)) == sorted(published, key=lambda file: file.id)

    async def test_one_refusal_does_not_undo_its_neighbours(self, store: MetadataStore) -> None:
        await store.publish(new_file(version="1.0"), root=1, now=NOW)
        uploads = [new_file(version="1.0" if number % 2 else f"2.{number}") for number in range(20)]
        answers = await asyncio.gather(
            *(store.publish(upload, root=1, now=NOW) for upload in uploads), return_exceptions=True
        )
        assert sum(isinstance(answer, NameTaken) for answer in answers) == 10
        assert len(await store.list_files([1], DEMO)) == 11

    async def test_a_cancelled_upload_is_there_whole_or_not_at_all(self, store: MetadataStore) -> None:
        uploads = [
            asyncio.create_task(store.publish(new_file(version=f"1.{number}"), root=1, now=NOW))
            for number in range(20)
        ]
        await asyncio.sleep(0)
        for upload in uploads[::2]:
            upload.cancel()
        await asyncio.gather(*uploads, return_exceptions=True)
        versions = {file.version for file in await store.list_files([1], DEMO)}
        assert versions >= {f"1.{number}" for number in range(1, 20, 2)}
        await store.publish(new_file(version="2.0"), root=1, now=NOW)

    @pytest.mark.parametrize("text", ["", "naïve 🐍", "a'b\"c;--", "line\nbreak", "x" * 100_000])
    async def test_text_comes_back_as_it_came(self, store: MetadataStore, text: str) -> None:
        published = await store.publish(new_file(requires_python=text, published_by=text), root=1, now=NOW)
        assert (published.requires_python, published.published_by) == (text, text)


class TestFacts:
    async def test_nothing_is_known_of_an_unknown_name(self, store: MetadataStore) -> None:
        await store.publish(new_file("six"), root=1, now=NOW)
        assert await store.find_facts(1, [1, 2], DEMO) == LocalFacts()

    async def test_publishing_claims_the_name_under_the_root(self, store: MetadataStore) -> None:
        await store.publish(new_file(project_id=1), root=9, now=NOW)
        assert await store.find_facts(9, [1, 2], DEMO) == LocalFacts(claimed=True, holders=frozenset({1}))
        assert await store.find_facts(8, [2, 3], DEMO) == LocalFacts()

    async def test_a_claim_speaks_without_files(self, store: MetadataStore) -> None:
        await store.publish(new_file(project_id=1), root=9, now=NOW)
        assert await store.find_facts(9, [2], DEMO) == LocalFacts(claimed=True)
        assert await store.find_facts(9, [], DEMO) == LocalFacts(claimed=True)

    async def test_a_file_claims_wherever_its_project_is_now(self, store: MetadataStore) -> None:
        await store.publish(new_file(project_id=1), root=9, now=NOW)
        assert await store.find_facts(8, [1], DEMO) == LocalFacts(claimed=True, holders=frozenset({1}))

    async def test_each_holder_is_named_once(self, store: MetadataStore) -> None:
        for project_id in (1, 2, 4):
            for version in ("1", "2"):
                await store.publish(new_file(version=version, project_id=project_id), root=1, now=NOW)
        assert (await store.find_facts(1, [1, 2, 3], DEMO)).holders == {1, 2}

    async def test_thousands_of_projects_are_asked_at_once(self, store: MetadataStore) -> None:
        await store.publish(new_file(project_id=4_321), root=1, now=NOW)
        assert (await store.find_facts(1, MANY_IDS, DEMO)).holders == {4_321}
        assert len(await store.list_files(MANY_IDS, DEMO)) == 1
        assert list(await store.list_names(MANY_IDS)) == [DEMO]


class TestLists:
    async def test_no_project_holds_nothing(self, store: MetadataStore) -> None:
        await store.publish(new_file(), root=1, now=NOW)
        assert list(await store.list_files([], DEMO)) == []
        assert list(await store.list_names([])) == []
        assert await store.find_file([], digests_of("bytes").sha256, new_file().filename) is None

    async def test_files_are_those_of_the_name_and_projects_by_id(self, store: MetadataStore) -> None:
        wanted = []
        for number, project_id in enumerate((3, 1, 2, 3, 1)):
            file = await store.publish(new_file(version=f"1.{9 - number}", project_id=project_id), root=1, now=NOW)
            await store.publish(new_file("six", version=f"1.{number}", project_id=project_id), root=1, now=NOW)
            wanted += [file] if project_id in {1, 3} else []
        assert list(await store.list_files([3, 1], DEMO)) == wanted

    async def test_names_are_sorted_and_each_once(self, store: MetadataStore) -> None:
        for name in ("six", "Zope.Interface", "demo", "a", "a2", "a-b"):
            for project_id in (1, 2):
                await store.publish(new_file(name, project_id=project_id), root=1, now=NOW)
        await store.publish(new_file("elsewhere", project_id=3), root=1, now=NOW)
        assert list(await store.list_names([1, 2])) == ["a", "a-b", "a2", "demo", "six", "zope-interface"]


class TestFindFile:
    async def publish_three(self, store: MetadataStore) -> list[LocalFile]:
        contents = ["one", "two", "one"]
        return [
            await store.publish(new_file(content=content, project_id=project_id), root=1, now=NOW)
            for project_id, content in enumerate(contents, start=1)
        ]

    async def test_digest_and_name_must_both_match(self, store: MetadataStore) -> None:
        first, second, _ = await self.publish_three(store)
        assert await store.find_file([1, 2], second.digests.sha256, second.filename) == second
        assert await store.find_file([1, 2], digests_of("three").sha256, first.filename) is None
        assert await store.find_file([1, 2], first.digests.sha256, parse_filename("other-1.0.zip")) is None

    async def test_the_newest_wins(self, store: MetadataStore) -> None:
        first, _, third = await self.publish_three(store)
        assert await store.find_file([1, 2, 3], first.digests.sha256, first.filename) == third

    async def test_other_projects_files_are_not_found(self, store: MetadataStore) -> None:
        first, second, _ = await self.publish_three(store)
        assert await store.find_file([1, 2], first.digests.sha256, first.filename) == first
        assert await store.find_file([1, 3], second.digests.sha256, second.filename) is None


class TestYank:
    async def publish_release(self, store: MetadataStore) -> list[LocalFile]:
        return [await store.publish(new_file(kind=kind), root=1, now=NOW) for kind in Kind]

    @pytest.mark.parametrize("reason", ["", "brækker alt"])
    async def test_the_files_named_are_yanked_with_the_reason(self, store: MetadataStore, reason: str) -> None:
        wheel, sdist = await self.publish_release(store)
        await store.save_yank([sdist.id], reason)
        assert list(await store.list_files([1], DEMO)) == [wheel, structs.replace(sdist, yanked=reason)]
        assert await store.find_file([1], wheel.digests.sha256, wheel.filename) == wheel

    async def test_the_last_word_counts_and_none_takes_it_back(self, store: MetadataStore) -> None:
        files = await self.publish_release(store)
        ids = [file.id for file in files]
        await store.save_yank(ids, "broken")
        await store.save_yank(ids, "broken on Windows")
        assert {file.yanked for file in await store.list_files([1], DEMO)} == {"broken on Windows"}
        await store.save_yank(ids, None)
        assert list(await store.list_files([1], DEMO)) == files

    async def test_a_later_file_of_the_release_is_not_yanked(self, store: MetadataStore) -> None:
        wheel = await store.publish(new_file(kind=Kind.WHEEL), root=1, now=NOW)
        await store.save_yank([wheel.id], "")
        await store.publish(new_file(kind=Kind.SDIST), root=1, now=LATER)
        assert [file.yanked for file in await store.list_files([1], DEMO)] == ["", None]

    async def test_unknown_files_and_none_at_all_are_harmless(self, store: MetadataStore) -> None:
        files = await self.publish_release(store)
        await store.save_yank([], "broken")
        await store.save_yank([4_711], "broken")
        assert list(await store.list_files([1], DEMO)) == files


class TestAttestations:
    async def test_they_come_back_as_they_were_sent(self, store: MetadataStore) -> None:
        text = '[ {"version": 1, "note": "naïve 🐍"} ]'
        published = await store.publish(new_file(attestations=text), root=1, now=NOW)
        assert published.has_provenance
        assert await store.find_attestations(published.id) == text

    async def test_a_file_without_and_an_unknown_file_have_none(self, store: MetadataStore) -> None:
        published = await store.publish(new_file(), root=1, now=NOW)
        assert await store.find_attestations(published.id) is None
        assert await store.find_attestations(published.id + 1) is None


class TestCoreMetadata:
    WHEEL, OTHER, READ, REREAD = (sha256_of(name) for name in (b"wheel", b"other", b"read", b"reread"))

    async def test_nothing_is_known_of_an_unknown_name(self, store: MetadataStore) -> None:
        assert dict(await store.list_core_metadata("pypi", DEMO)) == {}

    async def test_what_was_read_is_listed_by_wheel(self, store: MetadataStore) -> None:
        await store.save_core_metadata("pypi", DEMO, self.WHEEL, self.READ)
        await store.save_core_metadata("pypi", DEMO, self.OTHER, self.READ)
        assert dict(await store.list_core_metadata("pypi", DEMO)) == {self.WHEEL: self.READ, self.OTHER: self.READ}

    async def test_saving_replaces(self, store: MetadataStore) -> None:
        await store.save_core_metadata("pypi", DEMO, self.WHEEL, self.READ)
        await store.save_core_metadata("pypi", DEMO, self.WHEEL, self.REREAD)
        assert dict(await store.list_core_metadata("pypi", DEMO)) == {self.WHEEL: self.REREAD}

    async def test_other_upstreams_and_names_are_apart(self, store: MetadataStore) -> None:
        await store.save_core_metadata("pypi", DEMO, self.WHEEL, self.READ)
        assert dict(await store.list_core_metadata("other", DEMO)) == {}
        assert dict(await store.list_core_metadata("pypi", parse_project_name("six"))) == {}

    async def test_it_outlives_the_page(self, store: MetadataStore) -> None:
        await store.save_page(page_entry())
        await store.save_core_metadata("pypi", DEMO, self.WHEEL, self.READ)
        await store.delete_page("pypi", DEMO)
        assert dict(await store.list_core_metadata("pypi", DEMO)) == {self.WHEEL: self.READ}


class TestStatus:
    async def test_no_status_is_none(self, store: MetadataStore) -> None:
        await store.publish(new_file(), root=1, now=NOW)
        assert await store.find_status([1], DEMO) is None

    @pytest.mark.parametrize("reason", [None, "", "moved to demo2"])
    async def test_saving_replaces(self, store: MetadataStore, reason: str | None) -> None:
        await store.save_status(1, DEMO, ProjectStatus(Status.QUARANTINED, "malware"))
        await store.save_status(1, DEMO, ProjectStatus(Status.ARCHIVED, reason))
        assert await store.find_status([1], DEMO) == ProjectStatus(Status.ARCHIVED, reason)

    async def test_it_belongs_to_one_project_and_name(self, store: MetadataStore) -> None:
        await store.save_status(1, DEMO, ProjectStatus(Status.ARCHIVED))
        assert await store.find_status([2], DEMO) is None
        assert await store.find_status([1], parse_project_name("six")) is None
        assert await store.find_status([], DEMO) is None

    @pytest.mark.parametrize(
        ("statuses", "severest"),
        [
            ([Status.ACTIVE, Status.DEPRECATED], Status.DEPRECATED),
            ([Status.DEPRECATED, Status.ARCHIVED], Status.ARCHIVED),
            ([Status.QUARANTINED, Status.ARCHIVED, Status.ACTIVE], Status.QUARANTINED),
        ],
    )
    async def test_of_several_projects_the_severest_counts(
        self, store: MetadataStore, statuses: list[Status], severest: Status
    ) -> None:
        for project_id, status in enumerate(statuses, start=1):
            await store.save_status(project_id, DEMO, ProjectStatus(status))
        assert await store.find_status([1, 2, 3], DEMO) == ProjectStatus(severest)

    async def test_of_equals_the_lowest_id_speaks(self, store: MetadataStore) -> None:
        await store.save_status(2, DEMO, ProjectStatus(Status.ARCHIVED, "second"))
        await store.save_status(1, DEMO, ProjectStatus(Status.ARCHIVED, "first"))
        assert await store.find_status([2, 1], DEMO) == ProjectStatus(Status.ARCHIVED, "first")
