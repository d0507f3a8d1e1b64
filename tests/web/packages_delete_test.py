"""Deleting through GitLab's packages API, what becomes of the name, and when a release was last downloaded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_sdist, build_wheel
from tests.cli.running import run
from tests.web.packages_api import (
    CONFIG,
    DEPLOY,
    DEVELOPER,
    OWNER,
    SECRET,
    STRANGER,
    TOOLS,
    files_of,
    first_id,
    package_of,
    packages_of,
    publish_into,
)
from tests.web.server import JSON, forwards_to
from tests.web.uploads import publish, upload

if TYPE_CHECKING:
    from tests.builders import BuiltFile
    from tests.fake_index import FakeIndex
    from tests.web.server import Answer, MakeServer, Server

WHEEL, SDIST = build_wheel("demo", "1.0", size_padding=200_000), build_sdist("demo", "1.0")
NOT_FOUND = "404 Package Not Found"


@pytest.fixture
async def api(make_server: MakeServer, index: FakeIndex) -> Server:
    return await make_server(CONFIG + forwards_to(index))


async def delete(server: Server, path: str, **headers: str) -> Answer:
    return await server.ask("DELETE", path, {name.replace("_", "-"): value for name, value in headers.items()})


def link(built: BuiltFile) -> str:
    return f"/files/{built.sha256}/{built.filename}"


class TestPackages:
    @pytest.mark.gitlab(29)
    async def test_a_deleted_package_is_gone_everywhere(self, api: Server) -> None:
        await publish_into(api, TOOLS, WHEEL, SDIST)
        path = f"{TOOLS}/{await first_id(api, TOOLS)}"
        answer = await delete(api, path, **OWNER)
        assert (answer.status, answer.body) == (204, b"")
        assert packages_of(await api.get(TOOLS)) == []
        for gone in (path, f"{path}/package_files"):
            assert (await api.get(gone)).status == 404
        for gone in ("/simple/demo/", link(WHEEL), f"{link(WHEEL)}.metadata", link(SDIST)):
            assert (await api.get(gone, **OWNER)).status == 404
        assert (await api.get("/simple/", Accept=JSON)).projects == []
        assert (await delete(api, path, **OWNER)).message == NOT_FOUND

    @pytest.mark.gitlab(22)
    async def test_the_same_file_may_be_published_again_at_once(self, api: Server) -> None:
        await publish_into(api, TOOLS, WHEEL)
        first = await first_id(api, TOOLS)
        assert (await upload(api, WHEEL, to=f"{TOOLS}/pypi", **OWNER)).status == 400
        assert (await delete(api, f"{TOOLS}/{first}", **OWNER)).status == 204
        assert (await upload(api, WHEEL, to=f"{TOOLS}/pypi", **OWNER)).status == 201
        assert await first_id(api, TOOLS) > first
        assert (await api.get(link(WHEEL))).body == WHEEL.data

    async def test_a_name_without_files_is_not_forwarded_until_it_is_released(
        self, api: Server, index: FakeIndex
    ) -> None:
        index.add_project("demo")
        await publish_into(api, TOOLS, WHEEL)
        assert (await delete(api, f"{TOOLS}/{await first_id(api, TOOLS)}", **OWNER)).status == 204
        answer = await api.get("/simple/demo/", **OWNER)
        assert (answer.status, answer.message) == (404, NOT_FOUND)
        assert index.count() == 0

    async def test_who_reads_a_file_reads_it_to_its_end(self, api: Server) -> None:
        await publish_into(api, TOOLS, WHEEL)
        async with api.open("GET", link(WHEEL)) as response:
            head = await response.content.readexactly(1000)
            assert (await delete(api, f"{TOOLS}/{await first_id(api, TOOLS)}", **OWNER)).status == 204
            assert head + await response.content.read() == WHEEL.data

    async def test_a_restart_changes_nothing(self, make_server: MakeServer, api: Server) -> None:
        await publish_into(api, TOOLS, WHEEL, build_wheel("demo", "2.0"))
        await delete(api, f"{TOOLS}/{await first_id(api, TOOLS)}", **OWNER)
        await api.close()
        again = await make_server(CONFIG)
        assert [package.version for package in packages_of(await again.get(TOOLS))] == ["2.0"]


class TestFiles:
    async def test_one_file_goes_and_the_others_stay(self, api: Server) -> None:
        await publish_into(api, TOOLS, WHEEL, SDIST)
        path = f"{TOOLS}/{await first_id(api, TOOLS)}/package_files"
        wheel, sdist = files_of(await api.get(path))
        answer = await delete(api, f"{path}/{wheel.id}", **OWNER)
        assert (answer.status, answer.body) == (204, b"")
        assert files_of(await api.get(path)) == [sdist]
        assert (await api.page("/simple/demo/")).filenames == [SDIST.filename]
        assert (await api.get(link(WHEEL))).status == 404
        assert (await delete(api, f"{path}/{wheel.id}", **OWNER)).message == "404 Not Found"

    async def test_the_last_file_takes_the_package_along_and_the_name_stays(
        self, api: Server, index: FakeIndex
    ) -> None:
        index.add_project("demo")
        await publish_into(api, TOOLS, WHEEL)
        path = f"{TOOLS}/{await first_id(api, TOOLS)}"
        [file] = files_of(await api.get(f"{path}/package_files"))
        assert (await delete(api, f"{path}/package_files/{file.id}", **OWNER)).status == 204
        assert (await api.get(path)).message == NOT_FOUND
        assert (await api.get("/simple/demo/", **OWNER)).status == 404
        assert index.count() == 0

    async def test_a_file_is_looked_for_in_its_package(self, api: Server) -> None:
        await publish_into(api, TOOLS, WHEEL, build_wheel("other", "1.0"))
        demo, other = packages_of(await api.get(TOOLS))
        [file] = files_of(await api.get(f"{TOOLS}/{other.id}/package_files"))
        assert (await delete(api, f"{TOOLS}/{demo.id}/package_files/{file.id}", **OWNER)).status == 404
        assert (await api.get(f"{TOOLS}/{other.id}")).status == 200


class TestRefusals:
    @pytest.mark.parametrize(
        ("project", "caller", "status", "message"),
        [
            (TOOLS, {}, 403, "403 Forbidden"),
            (TOOLS, DEVELOPER, 403, "403 Forbidden"),
            (SECRET, DEVELOPER, 403, "403 Forbidden"),
            (SECRET, {}, 404, "404 Project Not Found"),
            (SECRET, STRANGER, 404, "404 Project Not Found"),
            (
                TOOLS,
                DEPLOY,
                401,
                "401 Unauthorized - deploy tokens are not accepted here; use a personal or a job token",
            ),
        ],
    )
    async def test_only_maintainers_delete(
        self, api: Server, project: str, caller: dict[str, str], status: int, message: str
    ) -> None:
        await publish_into(api, project, WHEEL)
        path = f"{project}/{await first_id(api, project)}"
        [file] = files_of(await api.get(f"{path}/package_files", **OWNER))
        for target in (path, f"{path}/package_files/{file.id}"):
            answer = await delete(api, target, **caller)
            assert (answer.status, answer.message) == (status, message)
        assert (await api.get(path, **OWNER)).status == 200

    async def test_a_token_that_only_reads_lacks_the_scope(self, api: Server) -> None:
        await publish_into(api, TOOLS, WHEEL)
        answer = await delete(api, f"{TOOLS}/{await first_id(api, TOOLS)}", **STRANGER)
        assert (answer.status, answer.told["error"]) == (403, "insufficient_scope")

    async def test_a_protected_package_stays(self, api: Server) -> None:
        await publish_into(api, TOOLS, build_wheel("Core.Lib", "1.0"))
        path = f"{TOOLS}/{await first_id(api, TOOLS)}"
        for target in (path, f"{path}/package_files/1"):
            answer = await delete(api, target, **OWNER)
            assert (answer.status, answer.message) == (403, "403 Forbidden - Package is deletion protected.")
        assert (await api.get(path)).status == 200

    @pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}])
    async def test_a_web_page_deletes_nothing(self, api: Server, headers: dict[str, str]) -> None:
        await publish_into(api, TOOLS, WHEEL)
        path = f"{TOOLS}/{await first_id(api, TOOLS)}"
        for target in (path, f"{path}/package_files/1"):
            assert (await delete(api, target, **OWNER, **headers)).status == 403
        assert (await api.get(path)).status == 200

    async def test_who_may_publish_without_a_token_may_not_delete(self, server: Server) -> None:
        await publish(server, WHEEL)
        path = f"{TOOLS}/{packages_of(await server.get(TOOLS))[0].id}"
        assert (await delete(server, path)).status == 403


class TestDownloads:
    @pytest.mark.gitlab(26)
    async def test_a_download_is_noted_and_survives(self, make_server: MakeServer, api: Server) -> None:
        await publish_into(api, TOOLS, WHEEL, build_wheel("demo", "2.0"))
        path = f"{TOOLS}/{await first_id(api, TOOLS)}"
        published = package_of(await api.get(path))
        assert (await api.get(link(WHEEL))).status == 200
        await api.close()
        again = await make_server(CONFIG)
        first, second = packages_of(await again.get(TOOLS))
        assert first.last_downloaded_at is not None
        assert first.last_downloaded_at >= published.created_at
        assert second.last_downloaded_at is None

    async def test_looking_is_not_downloading(self, make_server: MakeServer, api: Server) -> None:
        await publish_into(api, TOOLS, WHEEL)
        assert (await api.head(link(WHEEL))).status == 200
        assert (await api.get(f"{link(WHEEL)}.metadata")).status == 200
        assert (await api.page("/simple/demo/")).filenames == [WHEEL.filename]
        await api.close()
        [package] = packages_of(await (await make_server(CONFIG)).get(TOOLS))
        assert package.last_downloaded_at is None


class TestCommandsBesideTheServer:
    async def test_a_deleted_and_released_name_is_forwarded_at_once(self, server: Server, index: FakeIndex) -> None:
        index.add_built("demo", build_wheel("demo", "9.0"))
        await publish(server, WHEEL)
        assert (await asyncio.to_thread(run, server.data_dir, "delete", "1", "demo==1.0")).exit_code == 0
        assert (await server.get("/simple/demo/")).status == 404
        assert (await asyncio.to_thread(run, server.data_dir, "release", "demo")).exit_code == 0
        assert (await server.page("/simple/demo/")).versions == ("9.0",)
