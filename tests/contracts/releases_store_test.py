"""What every ReleaseStore promises, beside the rest of a MetadataStore."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from proxy.core.distributions import Kind
from proxy.core.errors import NameHeld
from proxy.core.local import ReleaseMetadata, ReleaseStatus, ReleaseVersion
from proxy.core.model import ProjectStatus, Status
from proxy.core.names import parse_project_name
from proxy.core.policy import LocalFacts
from proxy.core.releases import Page, ReleaseOrder, ReleaseQuery, search_words
from proxy.sqlite.store import open_store
from tests.contracts.samples import DEMO, NOW, new_file
from tests.fakes.metadata_store import MemoryMetadataStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from proxy.core.local import LocalFile, Release
    from proxy.ports import MetadataStore

ROOT = 9
HOUR = timedelta(hours=1)
ALL = Page(size=100)
ANY = ReleaseQuery()


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


async def publish(store: MetadataStore, *specs: str, project_id: int = 1) -> list[LocalFile]:
    """A wheel for each `name==version`, an hour after the other."""
    uploads = [new_file(*spec.split("=="), project_id=project_id) for spec in specs]
    return [await store.publish(upload, root=ROOT, now=NOW + n * HOUR) for n, upload in enumerate(uploads)]


async def listed(
    store: MetadataStore, query: ReleaseQuery = ANY, projects: Sequence[int] = (1, 2, 3), page: Page = ALL
) -> list[str]:
    """Name and version of what is listed; as many must be counted when all is asked for."""
    releases = await store.list_releases(projects, query, page)
    assert page != ALL or await store.count_releases(projects, query) == len(releases)
    return [f"{release.raw_name}=={release.version}" for release in releases]


async def found(store: MetadataStore, file: LocalFile) -> Release:
    release = await store.find_release(file.project_id, file.release_id)
    assert release is not None
    return release


class TestFind:
    async def test_a_release_is_what_was_uploaded(self, store: MetadataStore) -> None:
        upload = new_file("My.Demo", "1.0.post1", project_id=7, requires_python=">=3.9", summary="demo")
        file = await store.publish(upload, root=ROOT, now=NOW)
        release = await found(store, file)
        assert (release.id, release.project_id) == (file.release_id, 7)
        assert (release.name, release.raw_name, release.version) == ("my-demo", "My.Demo", "1.0.post1")
        assert (release.status, release.created_at) == (ReleaseStatus.DEFAULT, NOW)
        assert release.last_downloaded_at is None
        assert release.requires_python == ">=3.9"
        assert release.metadata == ReleaseMetadata(summary="demo")

    async def test_the_last_upload_decides_what_it_says(self, store: MetadataStore) -> None:
        await store.publish(new_file(summary="first", requires_python=">=3.8"), root=ROOT, now=NOW)
        last = await store.publish(new_file(kind=Kind.SDIST, summary="last"), root=ROOT, now=NOW + HOUR)
        release = await found(store, last)
        assert (release.metadata.summary, release.requires_python, release.created_at) == ("last", "", NOW)

    async def test_another_project_or_id_finds_none(self, store: MetadataStore) -> None:
        [file] = await publish(store, "demo==1")
        assert await store.find_release(2, file.release_id) is None
        assert await store.find_release(1, file.release_id + 1) is None

    async def test_it_is_deprecated_as_its_project_is(self, store: MetadataStore) -> None:
        demo, six = await publish(store, "demo==1", "six==1")
        await store.save_status(1, DEMO, ProjectStatus(Status.DEPRECATED))
        await store.save_status(2, six.name, ProjectStatus(Status.DEPRECATED))
        assert (await found(store, demo)).status is ReleaseStatus.DEPRECATED
        assert (await found(store, six)).status is ReleaseStatus.DEFAULT

    @pytest.mark.parametrize("status", [Status.ACTIVE, Status.ARCHIVED, Status.QUARANTINED])
    async def test_other_markers_leave_it_as_it_is(self, store: MetadataStore, status: Status) -> None:
        [file] = await publish(store, "demo==1")
        await store.save_status(1, DEMO, ProjectStatus(status))
        assert (await found(store, file)).status is ReleaseStatus.DEFAULT

    async def test_versions_are_those_of_the_name_and_project(self, store: MetadataStore) -> None:
        files = await publish(store, "demo==1", "Demo==1.0", "demo==2")
        await publish(store, "six==3")
        await publish(store, "demo==4", project_id=2)
        versions = [ReleaseVersion(file.release_id, file.version, file.uploaded_at) for file in files]
        assert list(await store.list_versions(1, DEMO)) == versions

    async def test_its_files_are_its_own_by_id(self, store: MetadataStore) -> None:
        wheel = await store.publish(new_file(), root=ROOT, now=NOW)
        await publish(store, "demo==2")
        sdist = await store.publish(new_file(kind=Kind.SDIST), root=ROOT, now=NOW)
        assert list(await store.list_release_files(wheel.release_id)) == [wheel, sdist]
        assert list(await store.list_release_files(99)) == []


class TestList:
    async def test_no_project_has_none(self, store: MetadataStore) -> None:
        await publish(store, "demo==1")
        assert await listed(store, projects=()) == []

    async def test_the_projects_asked_for_are_listed(self, store: MetadataStore) -> None:
        for project_id in (1, 2, 3):
            await publish(store, f"demo=={project_id}", project_id=project_id)
        assert await listed(store, projects=(3, 1)) == ["demo==1", "demo==3"]

    async def test_a_page_is_a_part_of_the_whole(self, store: MetadataStore) -> None:
        await publish(store, *(f"demo=={number}" for number in range(5)))
        pages = [await listed(store, page=Page(number, 2)) for number in (1, 2, 3, 4)]
        assert pages == [["demo==0", "demo==1"], ["demo==2", "demo==3"], ["demo==4"], []]
        assert await store.count_releases((1,), ANY) == 5

    async def test_a_page_comes_with_what_its_releases_say(self, store: MetadataStore) -> None:
        file = await store.publish(new_file(summary="demo"), root=ROOT, now=NOW)
        assert list(await store.list_releases((1,), ANY, ALL)) == [await found(store, file)]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", ["My_Pkg==1", "my-pkg-core==1", "other==1"]),
            ("my.pkg", ["My_Pkg==1", "my-pkg-core==1"]),
            ("CORE pkg", ["my-pkg-core==1"]),
            ("the", ["other==1"]),
            ("%", []),
            ("o_h", []),
        ],
    )
    async def test_each_word_must_occur_in_the_name(
        self, store: MetadataStore, text: str, expected: list[str]
    ) -> None:
        await publish(store, "My_Pkg==1", "my-pkg-core==1", "other==1")
        assert await listed(store, ReleaseQuery(words=search_words(text))) == expected

    async def test_a_version_is_matched_exactly(self, store: MetadataStore) -> None:
        await publish(store, "demo==1.0", "demo==1.0.0", "six==1.0")
        assert await listed(store, ReleaseQuery(version="1.0")) == ["demo==1.0", "six==1.0"]
        assert await listed(store, ReleaseQuery(version="1")) == []

    async def test_a_status_is_matched(self, store: MetadataStore) -> None:
        await publish(store, "demo==1", "six==1")
        await store.save_status(1, DEMO, ProjectStatus(Status.DEPRECATED))
        assert await listed(store) == ["demo==1", "six==1"]
        assert await listed(store, ReleaseQuery(status=ReleaseStatus.DEPRECATED)) == ["demo==1"]
        assert await listed(store, ReleaseQuery(status=ReleaseStatus.DEFAULT)) == ["six==1"]
        assert await listed(store, ReleaseQuery(status=ReleaseStatus.HIDDEN)) == []

    @pytest.mark.parametrize(
        ("order", "expected"),
        [
            (ReleaseOrder.CREATED_AT, ["b==1.10", "C==1.9", "a==2", "a==1.9"]),
            (ReleaseOrder.NAME, ["a==2", "a==1.9", "b==1.10", "C==1.9"]),
            (ReleaseOrder.VERSION, ["b==1.10", "C==1.9", "a==1.9", "a==2"]),
            (ReleaseOrder.TYPE, ["b==1.10", "C==1.9", "a==2", "a==1.9"]),
            (ReleaseOrder.PROJECT_PATH, ["a==1.9", "b==1.10", "C==1.9", "a==2"]),
        ],
    )
    async def test_orders_go_both_ways(self, store: MetadataStore, order: ReleaseOrder, expected: list[str]) -> None:
        await publish(store, "b==1.10", "C==1.9", "a==2")
        await store.publish(new_file("a", "1.9", project_id=2), root=ROOT, now=NOW + 3 * HOUR)
        by_path = (2, 1)
        assert await listed(store, ReleaseQuery(order=order), by_path) == expected
        assert await listed(store, ReleaseQuery(order=order, descending=True), by_path) == expected[::-1]

    async def test_thousands_of_projects_are_asked_at_once(self, store: MetadataStore) -> None:
        await publish(store, "demo==1", project_id=4_321)
        assert await listed(store, projects=range(1, 5_001)) == ["demo==1"]


class TestDelete:
    async def test_a_deleted_release_is_gone_with_its_files(self, store: MetadataStore) -> None:
        demo, six = await publish(store, "demo==1", "six==1")
        assert await store.delete_release(demo.release_id, root=ROOT)
        assert await store.find_release(1, demo.release_id) is None
        assert list(await store.list_files([1], DEMO)) == []
        assert await store.find_attestations(demo.id) is None
        assert list(await store.list_files([1], six.name)) == [six]

    async def test_deleting_again_finds_nothing(self, store: MetadataStore) -> None:
        [file] = await publish(store, "demo==1")
        assert await store.delete_release(file.release_id, root=ROOT)
        assert not await store.delete_release(file.release_id, root=ROOT)
        assert await store.delete_files([file.id], root=ROOT) == 0

    async def test_of_many_deletes_at_once_one_counts(self, store: MetadataStore) -> None:
        [file] = await publish(store, "demo==1")
        done = await asyncio.gather(*(store.delete_release(file.release_id, root=ROOT) for _ in range(20)))
        assert sum(done) == 1

    async def test_a_file_goes_and_its_neighbours_stay(self, store: MetadataStore) -> None:
        wheel = await store.publish(new_file(), root=ROOT, now=NOW)
        sdist = await store.publish(new_file(kind=Kind.SDIST), root=ROOT, now=NOW)
        assert await store.delete_files([wheel.id], root=ROOT) == 1
        assert list(await store.list_release_files(wheel.release_id)) == [sdist]

    async def test_the_last_file_takes_its_release_along(self, store: MetadataStore) -> None:
        one, two = await publish(store, "demo==1", "demo==2")
        assert await store.delete_files([one.id, 99], root=ROOT) == 1
        assert await store.find_release(1, one.release_id) is None
        assert await listed(store) == ["demo==2"]
        assert await store.delete_files([two.id], root=ROOT) == 1
        assert await listed(store) == []

    async def test_the_same_file_may_be_published_again_and_is_another(self, store: MetadataStore) -> None:
        [first] = await publish(store, "demo==1")
        await store.record_downloads({first.release_id: NOW})
        await store.delete_release(first.release_id, root=ROOT)
        [again] = await publish(store, "demo==1")
        assert again.id > first.id
        assert again.release_id > first.release_id
        assert (await found(store, again)).last_downloaded_at is None


class TestClaims:
    async def test_a_name_stays_claimed_without_files(self, store: MetadataStore) -> None:
        [file] = await publish(store, "demo==1")
        await store.delete_release(file.release_id, root=ROOT)
        assert await store.find_facts(ROOT, [1], DEMO) == LocalFacts(claimed=True)

    async def test_deleting_claims_the_name_where_its_project_is_now(self, store: MetadataStore) -> None:
        one, two = await publish(store, "demo==1", "six==1")
        await store.delete_release(one.release_id, root=5)
        await store.delete_files([two.id], root=6)
        assert (await store.find_facts(5, [], DEMO)).claimed
        assert (await store.find_facts(6, [], two.name)).claimed

    async def test_deleting_nothing_claims_nothing(self, store: MetadataStore) -> None:
        await publish(store, "demo==1")
        await store.delete_release(99, root=5)
        await store.delete_files([99], root=5)
        assert await store.find_facts(5, [], DEMO) == LocalFacts()

    async def test_a_released_name_is_unknown_again(self, store: MetadataStore) -> None:
        [file] = await publish(store, "demo==1")
        await store.delete_release(file.release_id, root=ROOT)
        assert await store.release_name(ROOT, [1], DEMO)
        assert await store.find_facts(ROOT, [1], DEMO) == LocalFacts()
        assert not await store.release_name(ROOT, [1], DEMO)

    async def test_a_name_with_files_is_not_released(self, store: MetadataStore) -> None:
        await publish(store, "demo==1")
        with pytest.raises(NameHeld, match="demo still has files"):
            await store.release_name(ROOT, [1, 2], DEMO)
        assert (await store.find_facts(ROOT, [], DEMO)).claimed

    async def test_releasing_leaves_other_names_and_roots(self, store: MetadataStore) -> None:
        for root in (ROOT, 5):
            file = await store.publish(new_file(project_id=root), root=root, now=NOW)
            await store.delete_release(file.release_id, root=root)
        await publish(store, "six==1")
        assert await store.release_name(ROOT, [1], DEMO)
        assert (await store.find_facts(5, [], DEMO)).claimed
        assert (await store.find_facts(ROOT, [], parse_project_name("six"))).claimed


class TestDownloads:
    async def test_the_latest_time_counts(self, store: MetadataStore) -> None:
        one, two = await publish(store, "demo==1", "demo==2")
        await store.record_downloads({one.release_id: NOW, two.release_id: NOW + HOUR})
        await store.record_downloads({one.release_id: NOW + HOUR, two.release_id: NOW})
        assert (await found(store, one)).last_downloaded_at == NOW + HOUR
        assert (await found(store, two)).last_downloaded_at == NOW + HOUR

    async def test_a_release_that_is_gone_is_passed_over(self, store: MetadataStore) -> None:
        one, two = await publish(store, "demo==1", "demo==2")
        await store.delete_release(one.release_id, root=ROOT)
        await store.record_downloads({one.release_id: NOW, two.release_id: NOW})
        assert (await found(store, two)).last_downloaded_at == NOW
        assert await store.find_release(1, one.release_id) is None

    async def test_no_downloads_are_harmless(self, store: MetadataStore) -> None:
        await store.record_downloads({})
