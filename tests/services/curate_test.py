"""Yanking releases and marking projects, as far as those who read pages see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from proxy.core.errors import NotFound
from proxy.core.model import ProjectStatus, Status
from proxy.core.names import GroupPath
from proxy.core.registry import Project
from proxy.services.listings import Listing
from tests.builders import build_sdist, build_wheel
from tests.services.house import ACME, DEMO, PACKAGES, READER, SIX, House, MakeHouse, upload

if TYPE_CHECKING:
    from proxy.core.model import ProjectDetail
    from proxy.core.names import ProjectName

ONE, TWO = Version("1.0"), Version("2.0")


async def page(house: House) -> ProjectDetail:
    listing = await house.listings.get(READER, house.group, DEMO)
    assert isinstance(listing, Listing)
    return listing.detail(house.clock.now())


async def yanked(house: House) -> dict[str, bool | str]:
    return {file.filename: file.yanked for file in (await page(house)).files}


@pytest.fixture(autouse=True)
async def demo(house: House) -> None:
    """Two files of 1.0, one of 2.0."""
    for built in (build_wheel("demo", "1.0"), build_sdist("demo", "1.0"), build_wheel("demo", "2.0")):
        await upload(house, built)


class TestYank:
    async def test_all_files_of_a_release_are_yanked_and_no_other(self, house: House) -> None:
        files = await house.curator.yank(PACKAGES, DEMO, ONE, "broken")
        assert {file.filename for file in files} == {"demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz"}
        assert await yanked(house) == {
            "demo-1.0-py3-none-any.whl": "broken",
            "demo-1.0.tar.gz": "broken",
            "demo-2.0-py3-none-any.whl": False,
        }

    async def test_no_reason_is_needed(self, house: House) -> None:
        await house.curator.yank(PACKAGES, DEMO, TWO, "")
        assert (await yanked(house))["demo-2.0-py3-none-any.whl"] is True

    async def test_it_can_be_taken_back(self, house: House) -> None:
        await house.curator.yank(PACKAGES, DEMO, ONE, "broken")
        await house.curator.unyank(PACKAGES, DEMO, ONE)
        assert set((await yanked(house)).values()) == {False}

    async def test_the_version_may_be_spelled_in_any_way(self, house: House) -> None:
        await house.curator.yank(PACKAGES, DEMO, Version("v1"), "broken")
        assert (await yanked(house))["demo-1.0.tar.gz"] == "broken"

    @pytest.mark.parametrize(("name", "version"), [(DEMO, Version("3.0")), (SIX, ONE)])
    async def test_what_is_not_there_cannot_be_yanked(self, house: House, name: ProjectName, version: Version) -> None:
        with pytest.raises(NotFound, match="acme/packages has no"):
            await house.curator.yank(PACKAGES, name, version, "")
        with pytest.raises(NotFound):
            await house.curator.unyank(PACKAGES, name, version)
        assert set((await yanked(house)).values()) == {False}


class TestStatus:
    @pytest.mark.parametrize("status", list(Status))
    async def test_it_shows_on_the_page(self, house: House, status: Status) -> None:
        await house.curator.set_status(PACKAGES, DEMO, ProjectStatus(status, "for a reason"))
        assert (await page(house)).status == ProjectStatus(status, "for a reason")
        assert bool((await page(house)).files) == (status is not Status.QUARANTINED)

    async def test_it_can_be_taken_back(self, house: House) -> None:
        await house.curator.set_status(PACKAGES, DEMO, ProjectStatus(Status.QUARANTINED))
        await house.curator.set_status(PACKAGES, DEMO, ProjectStatus())
        assert len((await page(house)).files) == 3

    async def test_a_name_that_was_not_published_into_the_project_has_none(
        self, make_house: MakeHouse, house: House
    ) -> None:
        tools = Project(2, GroupPath("acme/tools"), ACME.path)
        house = await make_house(projects=[PACKAGES, tools], store=house.store)
        for project, name in ((PACKAGES, SIX), (tools, DEMO)):
            with pytest.raises(NotFound, match=f"{project.path} has no {name}"):
                await house.curator.set_status(project, name, ProjectStatus(Status.ARCHIVED))
        assert house.store.statuses == {}
