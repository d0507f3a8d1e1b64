"""Pages that two processes want: asked for by one, believed by both."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from proxy.core.errors import StorageTrouble, UpstreamTrouble
from proxy.core.freshness import CacheRules
from proxy.services import neighbours, upstream_pages
from tests.builders import build_wheel
from tests.fakes.gate import Gate, until
from tests.services.house import DEMO
from tests.services.street import Street, open_street

if TYPE_CHECKING:
    from proxy.services.upstream_pages import Seen
    from tests.services.house import House, MakeHouse


@pytest.fixture
async def street(make_house: MakeHouse) -> Street:
    street = await open_street(make_house)
    street.pypi.add("demo", build_wheel("demo", "1.0"))
    return street


async def get(house: House) -> Seen:
    return await house.upstream_pages.get("pypi", DEMO)


def filenames(seen: Seen) -> list[str]:
    assert seen.page is not None
    return [file.filename for file in seen.page.files]


def revision(seen: Seen) -> int:
    assert seen.page is not None
    return seen.page.revision


def expire(street: Street) -> None:
    street.clock.advance(minutes=11)


async def both(street: Street) -> tuple[Seen, Seen]:
    """What both get who ask at the same time, the left one first."""
    left, right = await at_once(street)
    return await left, await right


async def at_once(street: Street) -> tuple[asyncio.Task[Seen], asyncio.Task[Seen]]:
    """Both ask: the left one was first, and the right one waits for it, until now."""
    street.pypi.page_gate = gate = Gate()
    left = asyncio.create_task(get(street.left))
    await gate.waiting()
    tried = street.claims_tried
    right = asyncio.create_task(get(street.right))
    await until(lambda: street.claims_tried > tried + 1)
    street.pypi.page_gate = None
    gate.open()
    return left, right


async def test_a_page_never_seen_is_fetched_once(street: Street) -> None:
    left, right = await both(street)
    assert filenames(left) == filenames(right) == ["demo-1.0-py3-none-any.whl"]
    assert left.status == right.status
    assert street.pypi.count("page") == 1


async def test_an_expired_page_is_confirmed_once(street: Street) -> None:
    await both(street)
    before = [revision(await get(house)) for house in street.houses]
    expire(street)
    after = await both(street)
    assert street.pypi.count("page") == 2
    assert [revision(seen) for seen in after] == before
    assert after[0].status == after[1].status


async def test_a_page_that_has_changed_is_fetched_once(street: Street) -> None:
    await both(street)
    street.pypi.add("demo", build_wheel("demo", "2.0"))
    expire(street)
    left, right = await both(street)
    assert filenames(left) == filenames(right)
    assert len(filenames(right)) == 2
    assert street.pypi.count("page") == 2


async def test_who_comes_later_believes_what_the_neighbour_was_told(street: Street) -> None:
    for house in street.houses:
        await get(house)
    street.pypi.add("demo", build_wheel("demo", "2.0"))
    expire(street)
    left = await get(street.left)
    street.clock.advance(seconds=1)
    right = await get(street.right)
    assert filenames(left) == filenames(right)
    assert len(filenames(right)) == 2
    assert street.pypi.count("page") == 2


async def test_it_does_so_when_its_own_view_of_the_upstream_is_trouble(street: Street) -> None:
    for house in street.houses:
        await get(house)
    expire(street)
    street.pypi.trouble = UpstreamTrouble("down")
    await get(street.right)
    street.pypi.trouble = None
    street.pypi.add("demo", build_wheel("demo", "2.0"))
    await get(street.left)
    assert len(filenames(await get(street.right))) == 2


async def test_always_asking_means_asking_once_for_all_who_ask_now(make_house: MakeHouse) -> None:
    street = await open_street(make_house, CacheRules(page_ttl=timedelta(0)))
    street.pypi.add("demo", build_wheel("demo", "1.0"))
    await both(street)
    assert street.pypi.count("page") == 1
    for house in street.houses:
        await get(house)
    assert street.pypi.count("page") == 3


async def test_an_absent_name_is_asked_for_once_until_it_may_be_there(make_house: MakeHouse) -> None:
    street = await open_street(make_house)
    assert [seen.page for seen in await both(street)] == [None, None]
    assert [(await get(house)).page for house in street.houses] == [None, None]
    assert street.pypi.count("page") == 1
    street.pypi.add("demo", build_wheel("demo", "1.0"))
    street.clock.advance(minutes=2)
    assert [len(filenames(await get(house))) for house in street.houses] == [1, 1]
    assert street.pypi.count("page") == 2


async def test_a_page_that_is_gone_is_gone_for_both(street: Street) -> None:
    for house in street.houses:
        await get(house)
    street.pypi.remove("demo")
    expire(street)
    assert [(await get(house)).page for house in street.houses] == [None, None]
    assert street.pypi.count("page") == 2


async def test_a_neighbour_that_fails_soon_keeps_nobody_from_asking(street: Street) -> None:
    street.pypi.trouble = UpstreamTrouble("down")
    for each in await at_once(street):
        with pytest.raises(UpstreamTrouble, match="down"):
            await each
    assert street.pypi.count("page") == 2


async def test_after_a_long_wait_a_failure_is_not_tried_again(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_pages, "ENOUGH", 0.0)
    street.pypi.trouble = UpstreamTrouble("down")
    left, right = await at_once(street)
    with pytest.raises(UpstreamTrouble, match="down"):
        await left
    with pytest.raises(UpstreamTrouble, match="did not send the page"):
        await right
    assert street.pypi.count("page") == 1


async def test_a_neighbour_that_does_not_end_is_not_waited_for_for_ever(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "LONGEST", 0.02)
    assert street.flights[0].claim("page pypi demo")
    with pytest.raises(UpstreamTrouble, match="did not send the page"):
        await get(street.right)
    assert street.pypi.count("page") == 0


async def test_a_page_that_is_nowhere_kept_is_fetched_by_each(street: Street) -> None:
    street.left.store.trouble = StorageTrouble("no disk")
    assert [len(filenames(seen)) for seen in await both(street)] == [1, 1]
