"""GitLab's packages API: lists, filters, orders, pages and what one package says."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from msgspec import UNSET

from tests.builders import build_sdist, build_wheel
from tests.web.packages_api import (
    ACME,
    CONFIG,
    DEPLOY,
    DEVELOPER,
    MODELS,
    OWNER,
    SECRET,
    STRANGER,
    TOOLS,
    Links,
    Version,
    files_of,
    first_id,
    names,
    package_of,
    packages_of,
    publish_into,
)

if TYPE_CHECKING:
    from tests.web.server import Answer, MakeServer, Server

ONE, TWO = build_wheel("Demo.Pkg", "1.0"), build_wheel("demo-pkg", "2.0")


@pytest.fixture
async def api(make_server: MakeServer) -> Server:
    return await make_server(CONFIG)


def rels(answer: Answer) -> dict[str, str]:
    """The targets of `Link`, by their rel."""
    return {rel: url for url, rel in re.findall(r'<([^>]*)>; rel="([a-z]+)"', answer.headers["Link"])}


class TestPackage:
    async def test_it_says_what_was_published(self, api: Server) -> None:
        before = datetime.now(UTC).replace(microsecond=0)
        await publish_into(api, TOOLS, ONE, TWO)
        first, second = packages_of(await api.get(TOOLS))
        package = package_of(await api.get(f"{TOOLS}/{first.id}"))
        assert (package.name, package.version, package.package_type) == ("Demo.Pkg", "1.0", "pypi")
        assert (package.status, package.last_downloaded_at) == ("default", None)
        assert package.links == Links(f"/acme/tools/-/packages/{first.id}")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", package.created_at)
        assert before <= datetime.fromisoformat(package.created_at) <= datetime.now(UTC)
        assert (package.tags, package.pipelines) == ([], [])
        assert package.versions == [Version(second.id, "2.0", second.created_at, [], [])]
        assert (package.project_id, package.project_path) == (UNSET, UNSET)

    async def test_a_list_leaves_the_versions_out(self, api: Server) -> None:
        await publish_into(api, TOOLS, ONE, TWO)
        assert [package.versions for package in packages_of(await api.get(TOOLS))] == [UNSET, UNSET]

    async def test_a_group_names_the_project(self, api: Server) -> None:
        await publish_into(api, MODELS, ONE)
        [package] = packages_of(await api.get(ACME))
        assert (package.project_id, package.project_path) == (2, "acme/ml/models")
        assert package.links.web_path == f"/acme/ml/models/-/packages/{package.id}"

    async def test_who_may_delete_it_is_told_where(self, api: Server) -> None:
        await publish_into(api, TOOLS, ONE, build_wheel("core-lib", "1.0"))
        for path in (TOOLS, ACME):
            package, protected = packages_of(await api.get(path, **OWNER))
            assert package.links.delete_api_path == f"http://{api.netloc}{TOOLS}/{package.id}"
            assert protected.links.delete_api_path is UNSET
            assert packages_of(await api.get(path, **DEVELOPER))[0].links.delete_api_path is UNSET

    async def test_addresses_are_those_of_the_external_url(self, make_server: MakeServer) -> None:
        server = await make_server(CONFIG.replace("[server]", '[server]\nexternal_url = "https://pypi.example/sub"'))
        await publish_into(server, TOOLS, ONE)
        answer = await server.get(TOOLS, **OWNER)
        [package] = packages_of(answer)
        assert package.links.delete_api_path == f"https://pypi.example/sub{TOOLS}/{package.id}"
        assert rels(answer)["first"].startswith(f"https://pypi.example/sub{TOOLS}?")

    async def test_its_files_say_what_they_are(self, api: Server) -> None:
        sdist = build_sdist("Demo.Pkg", "1.0")
        await publish_into(api, TOOLS, ONE, sdist)
        package = await first_id(api, TOOLS)
        wheel, archive = files_of(await api.get(f"{TOOLS}/{package}/package_files"))
        assert (wheel.file_name, archive.file_name) == (ONE.filename, sdist.filename)
        assert (wheel.size, wheel.file_sha256, wheel.file_sha1) == (len(ONE.data), ONE.sha256, None)
        assert (wheel.package_id, wheel.pipelines) == (package, [])
        assert re.fullmatch(r"[0-9a-f]{32}", wheel.file_md5 or "")

    async def test_files_have_orders_and_pages(self, api: Server) -> None:
        built = [build_wheel("demo", "1.0", tag=tag) for tag in ("py3-none-any", "py2-none-any", "cp311-none-any")]
        await publish_into(api, TOOLS, *built)
        files = f"{TOOLS}/{await first_id(api, TOOLS)}/package_files"
        tags = [file.filename for file in built]
        for query, expected in {
            "": tags,
            "?sort=desc": tags[::-1],
            "?order_by=created_at&sort=desc": tags[::-1],
            "?order_by=file_name": sorted(tags),
            "?order_by=id&per_page=2&page=2": tags[2:],
        }.items():
            answer = await api.get(files + query)
            assert [file.file_name for file in files_of(answer)] == expected
            assert answer.headers["X-Total"] == "3"

    @pytest.mark.parametrize("path", ["/99", "/99/package_files", "/999999999999999999"])
    async def test_a_package_that_is_not_there(self, api: Server, path: str) -> None:
        answer = await api.get(TOOLS + path)
        assert (answer.status, answer.message) == (404, "404 Package Not Found")

    @pytest.mark.parametrize("path", ["/one", "/-1", "/1000000000000000000", "/1/package_files/1"])
    async def test_what_is_no_package_has_no_route(self, api: Server, path: str) -> None:
        answer = await api.get(TOOLS + path)
        assert answer.status in {404, 405}
        assert "error" in answer.told


class TestAccess:
    async def test_anybody_lists_what_is_public(self, api: Server) -> None:
        await publish_into(api, TOOLS, ONE)
        await publish_into(api, SECRET, TWO)
        for path in (TOOLS, "/api/v4/projects/acme%2Ftools/packages", ACME, "/api/v4/groups/acme/packages"):
            answer = await api.get(path)
            assert names(answer) == ["Demo.Pkg==1.0"]
            assert answer.headers["Cache-Control"] == "no-cache"
        answer = await api.get(ACME, **DEVELOPER)
        assert names(answer) == ["Demo.Pkg==1.0", "demo-pkg==2.0"]
        assert answer.headers["Cache-Control"] == "private, no-cache"

    @pytest.mark.parametrize("caller", [{}, STRANGER])
    async def test_what_is_private_is_told_like_what_is_not_there(self, api: Server, caller: dict[str, str]) -> None:
        await publish_into(api, SECRET, ONE)
        package = await first_id(api, SECRET)
        unknown = "/api/v4/projects/99/packages"
        for path in ("", f"/{package}", f"/{package}/package_files"):
            hidden, absent = [await api.get(project + path, **caller) for project in (SECRET, unknown)]
            assert (hidden.status, hidden.body) == (404, b'{"message": "404 Project Not Found"}')
            assert (absent.status, absent.body) == (hidden.status, hidden.body)
            assert set(absent.headers) == set(hidden.headers)
        for project in (SECRET, unknown):
            assert (await api.get(f"{project}?page=x", **caller)).told == {"error": "page is invalid"}

    @pytest.mark.parametrize("group", ["99", "nobody", "acme%2Ftools"])
    async def test_an_unknown_group(self, api: Server, group: str) -> None:
        answer = await api.get(f"/api/v4/groups/{group}/packages", **OWNER)
        assert (answer.status, answer.message) == (404, "404 Group Not Found")

    async def test_deploy_tokens_are_not_taken(self, api: Server) -> None:
        answer = await api.get(TOOLS, **DEPLOY)
        assert answer.status == 401
        assert "use a personal or a job token" in answer.message
        assert answer.headers["WWW-Authenticate"]


class TestFilters:
    @pytest.fixture
    async def full(self, api: Server) -> Server:
        await publish_into(api, TOOLS, build_wheel("Zeta_Core", "1.10"), build_wheel("alpha", "1.9"))
        await publish_into(api, MODELS, build_wheel("zeta-models", "1.9"))
        return api

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", "Zeta_Core alpha zeta-models"),
            ("package_name=zeta", "Zeta_Core zeta-models"),
            ("package_name=zeta.c", "Zeta_Core"),
            ("package_name=models%20zeta", "zeta-models"),
            ("package_name=nothing", ""),
            ("package_version=1.9", "alpha zeta-models"),
            ("package_version=1", ""),
            ("package_type=pypi", "Zeta_Core alpha zeta-models"),
            ("package_type=npm", ""),
            ("status=default", "Zeta_Core alpha zeta-models"),
            ("status=hidden", ""),
            ("exclude_subgroups=true", "Zeta_Core alpha"),
            ("exclude_subgroups=0&include_versionless=true", "Zeta_Core alpha zeta-models"),
            ("sort=desc", "zeta-models alpha Zeta_Core"),
            ("order_by=name", "alpha Zeta_Core zeta-models"),
            ("order_by=version", "Zeta_Core alpha zeta-models"),
            ("order_by=version&sort=desc", "zeta-models alpha Zeta_Core"),
            ("order_by=project_path", "zeta-models Zeta_Core alpha"),
            ("order_by=type", "Zeta_Core alpha zeta-models"),
            ("page=&per_page=&sort=&status=", "Zeta_Core alpha zeta-models"),
            ("unknown=1", "Zeta_Core alpha zeta-models"),
        ],
    )
    async def test_a_query_chooses_and_orders(self, full: Server, query: str, expected: str) -> None:
        answer = await full.get(f"{ACME}?{query}")
        assert [package.name for package in packages_of(answer)] == expected.split()
        assert answer.headers["X-Total"] == str(len(expected.split()))

    @pytest.mark.parametrize(
        ("query", "error"),
        [
            ("page=one", "page is invalid"),
            ("page=0", "page does not have a valid value"),
            ("page=-1", "page does not have a valid value"),
            ("page=9999999999999999", "page is invalid"),
            ("page=%D9%A1", "page is invalid"),
            ("per_page=0", "per_page does not have a valid value"),
            ("per_page=1.5", "per_page is invalid"),
            ("order_by=size", "order_by does not have a valid value"),
            ("sort=up", "sort does not have a valid value"),
            ("package_type=pip", "package_type does not have a valid value"),
            ("status=gone", "status does not have a valid value"),
            ("exclude_subgroups=maybe", "exclude_subgroups is invalid"),
            ("sort=up&page=x&per_page=y", "sort does not have a valid value, per_page is invalid, page is invalid"),
        ],
    )
    async def test_a_bad_query_is_told_every_fault(self, api: Server, query: str, error: str) -> None:
        answer = await api.get(f"{ACME}?{query}")
        assert (answer.status, answer.told) == (400, {"error": error})


class TestPages:
    @pytest.fixture
    async def five(self, api: Server) -> Server:
        await publish_into(api, TOOLS, *(build_wheel("demo", f"{number}.0") for number in range(5)))
        return api

    @pytest.mark.parametrize(
        ("page", "versions", "following", "previous"),
        [(1, ["0.0", "1.0"], "2", ""), (2, ["2.0", "3.0"], "3", "1"), (3, ["4.0"], "", "2"), (4, [], "", "")],
    )
    async def test_a_page_says_where_it_is(
        self, five: Server, page: int, versions: list[str], following: str, previous: str
    ) -> None:
        answer = await five.get(f"{TOOLS}?page={page}&per_page=2")
        assert [package.version for package in packages_of(answer)] == versions
        told = {name: answer.headers[f"X-{name}"] for name in ("Total", "Total-Pages", "Page", "Per-Page")}
        assert told == {"Total": "5", "Total-Pages": "3", "Page": str(page), "Per-Page": "2"}
        assert (answer.headers["X-Next-Page"], answer.headers["X-Prev-Page"]) == (following, previous)
        beside = {rel: url for rel, url in (("next", following), ("prev", previous)) if url}
        assert set(rels(answer)) == {"first", "last", *beside}

    async def test_links_lead_through_the_whole_list_with_its_query(self, five: Server) -> None:
        path = "/api/v4/projects/acme%2Ftools/packages?package_name=de%20mo&sort=desc&per_page=2"
        seen, answer = [], await five.get(path)
        base = f"http://{five.netloc}"
        while following := rels(answer).get("next"):
            seen += names(answer)
            assert following.startswith(f"{base}/api/v4/projects/acme%2Ftools/packages?")
            answer = await five.get(following.removeprefix(base))
        assert seen + names(answer) == [f"demo=={number}.0" for number in (4, 3, 2, 1, 0)]
        first, last = [await five.get(rels(answer)[rel].removeprefix(base)) for rel in ("first", "last")]
        assert [names(first), names(last)] == [["demo==4.0", "demo==3.0"], ["demo==0.0"]]

    async def test_a_secret_in_the_query_is_in_no_link(self, five: Server) -> None:
        answer = await five.get(f"{SECRET}?private_token=owner-secret&sort=desc")
        assert answer.status == 200
        assert "owner-secret" not in answer.headers["Link"]
        assert "sort=desc" in answer.headers["Link"]

    async def test_an_empty_list_has_one_page(self, api: Server) -> None:
        answer = await api.get(TOOLS)
        assert packages_of(answer) == []
        assert (answer.headers["X-Total"], answer.headers["X-Total-Pages"]) == ("0", "1")
        assert set(rels(answer)) == {"first", "last"}

    async def test_a_page_has_twenty_and_a_hundred_at_most(self, api: Server) -> None:
        assert (await api.get(TOOLS)).headers["X-Per-Page"] == "20"
        assert (await api.get(f"{TOOLS}?per_page=1000")).headers["X-Per-Page"] == "100"

    async def test_head_tells_the_same(self, five: Server) -> None:
        answer = await five.head(TOOLS)
        assert (answer.status, answer.body, answer.headers["X-Total"]) == (200, b"", "5")
