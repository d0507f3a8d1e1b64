"""The rules of a group: which names and files they hold back, on the page and on every way to the bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.fake_index import FakeIndex, Status
from tests.web.decisions import NOT_FOUND, check_absent, check_hidden, check_shown
from tests.web.server import JSON, forwards_to
from tests.web.uploads import publish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.web.server import MakeServer

DAYS = timedelta(days=1)


def group(**settings: str) -> str:
    """The built-in group with these settings, whose values are TOML."""
    keys = "".join(f"{key} = {value}\n" for key, value in settings.items())
    return f'[groups."default"]\nid = 1\n{keys}[projects."default/packages"]\nid = 1\n'


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"reserved": '["demo-*"]'}, id="reserved"),
        pytest.param({"reserved": '["Demo_Pkg"]'}, id="reserved in another spelling"),
        pytest.param({"deny": '["demo-pkg"]'}, id="denied"),
        pytest.param({"allow": '["other", "demo"]'}, id="not allowed"),
        pytest.param({"forwarding": "false"}, id="not forwarded"),
        pytest.param({"upstreams": "[]"}, id="no upstream"),
    ],
)
async def test_a_name_that_a_rule_holds_back_never_leaves(
    make_server: MakeServer, index: FakeIndex, settings: dict[str, str]
) -> None:
    file = index.add_wheel("demo-pkg", "1.0")
    server = await make_server(forwards_to(index) + group())
    await check_shown(server, "demo-pkg", file)
    await server.close()
    index.clear_requests()
    server = await make_server(forwards_to(index) + group(**settings))
    await check_absent(server, "", "demo-pkg", file)
    assert (await server.get("/simple/demo-pkg/", Accept=JSON)).told == NOT_FOUND
    assert index.requests == []


async def test_a_reserved_name_can_still_be_published(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(forwards_to(index) + group(reserved='["demo-*"]'))
    own = build_wheel("demo-pkg", "1.0")
    await publish(server, own)
    assert (await server.page("/simple/demo-pkg/")).filenames == [own.filename]


@pytest.mark.parametrize(
    "settings",
    [{"deny": '["demo-pkg>=2"]'}, {"allow": '["demo-pkg<2"]'}, {"deny": '["demo-pkg==2.*", "demo-pkg>=3.dev0"]'}],
    ids=str,
)
async def test_a_rule_on_versions_counts_for_page_and_file(
    make_server: MakeServer, index: FakeIndex, settings: dict[str, str]
) -> None:
    kept = index.add_wheel("demo-pkg", "1.0")
    hidden = [index.add_wheel("demo-pkg", "2.0"), index.add_sdist("demo-pkg", "3.0")]
    server = await make_server(forwards_to(index) + group())
    await check_shown(server, "demo-pkg", kept, *hidden)
    await server.close()
    server = await make_server(forwards_to(index) + group(**settings))
    await check_shown(server, "demo-pkg", kept)
    await check_hidden(server, "demo-pkg", *hidden)


async def test_young_files_are_hidden_on_page_and_file(make_server: MakeServer, index: FakeIndex) -> None:
    now = datetime.now(UTC)
    old = index.add_wheel("demo-pkg", "1.0", upload_time=now - 8 * DAYS)
    young = index.add_wheel("demo-pkg", "2.0", upload_time=now - 6 * DAYS)
    unknown = index.add_wheel("demo-pkg", "3.0", upload_time=None)
    future = index.add_wheel("demo-pkg", "4.0", upload_time=now + 9 * DAYS)
    server = await make_server(forwards_to(index) + group())
    await check_shown(server, "demo-pkg", old, young, unknown, future)
    await server.close()
    server = await make_server(forwards_to(index) + group(min_age='"7d"'))
    await check_shown(server, "demo-pkg", old)
    await check_hidden(server, "demo-pkg", young, unknown, future)


async def test_an_exemption_lets_a_young_file_through(make_server: MakeServer, index: FakeIndex) -> None:
    young = [index.add_wheel("demo-pkg", version, upload_time=datetime.now(UTC)) for version in ("1.0", "2.0")]
    past = "2020-01-01T00:00:00Z"
    exempt = f'["demo-pkg==1.0", {{match = "demo-pkg==2.0", reason = "urgent", until = {past}}}]'
    server = await make_server(forwards_to(index) + group(min_age='"7d"', min_age_exempt=exempt))
    await check_shown(server, "demo-pkg", young[0])
    await check_hidden(server, "demo-pkg", young[1])


# Merged names and several upstreams


@pytest.mark.standard(69)
async def test_a_merged_name_shows_both_and_the_local_file_wins(make_server: MakeServer, index: FakeIndex) -> None:
    server = await make_server(forwards_to(index) + group(merge='["demo-*"]', deny='["demo-pkg>=3"]'))
    shadowed = index.add_wheel("demo-pkg", "1.0", modules={"demo_pkg.py": "theirs"})
    theirs = index.add_wheel("demo-pkg", "2.0")
    denied = index.add_wheel("demo-pkg", "3.0")
    own = build_wheel("demo-pkg", "1.0")
    await publish(server, own)
    page = await server.page("/simple/demo-pkg/")
    assert page.filenames == [own.filename, theirs.filename]
    assert page.versions == ("1.0", "2.0")
    assert page.files[0].hashes == {"sha256": own.sha256}
    for file, status in ((own, 200), (theirs, 200), (shadowed, 404), (denied, 404)):
        assert (await server.get(f"/files/{file.sha256}/{file.filename}")).status == status


@pytest.mark.standard(103)
async def test_a_merged_page_is_an_error_without_its_upstream_but_its_own_files_are_there(
    make_server: MakeServer, index: FakeIndex
) -> None:
    server = await make_server(forwards_to(index) + group(merge='["demo-*"]'))
    own = build_wheel("demo-pkg", "1.0")
    await publish(server, own)
    await index.down()
    assert (await server.get("/simple/demo-pkg/", Accept=JSON)).status == 503
    assert (await server.get(f"/files/{own.sha256}/{own.filename}")).body == own.data
    assert (await server.get(f"/files/{own.sha256}/{own.filename}.metadata")).body == own.metadata


@pytest.fixture
async def second() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as second:
        yield second


async def test_the_first_upstream_that_has_the_project_serves_it(
    make_server: MakeServer, index: FakeIndex, second: FakeIndex
) -> None:
    both = forwards_to(index) + forwards_to(second, "corp") + group(upstreams='["corp", "pypi"]')
    server = await make_server(both)
    index.add_wheel("demo-pkg", "1.0")
    theirs = second.add_wheel("demo-pkg", "2.0")
    other = index.add_wheel("other", "1.0")
    await check_shown(server, "demo-pkg", theirs)
    assert index.requests == []
    await check_shown(server, "other", other)


@pytest.mark.parametrize(("status", "told"), [(403, 502), (410, 502), (429, 503), (500, 503), (503, 503)])
async def test_trouble_with_an_upstream_does_not_pass_on_to_the_next(
    make_server: MakeServer, index: FakeIndex, second: FakeIndex, status: int, told: int
) -> None:
    both = forwards_to(index) + forwards_to(second, "corp") + group(upstreams='["corp", "pypi"]')
    server = await make_server(both)
    index.add_wheel("demo-pkg", "1.0")
    second.fault(Status(status))
    assert (await server.get("/simple/demo-pkg/")).status == told
    assert index.requests == []
