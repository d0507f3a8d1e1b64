"""Uploads that are taken, and who wins where two want the same name."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from tests.builders import build_sdist, build_wheel
from tests.web.server import JSON, Part
from tests.web.uploads import CREATED, TAKEN, form, publish, upload

if TYPE_CHECKING:
    from tests.builders import BuiltFile
    from tests.web.server import MakeServer, Server

WHEEL = build_wheel("demo-pkg", "1.0")
SDIST = build_sdist("demo-pkg", "1.0")
PAGE = "/simple/demo-pkg/"
ROUTES = [
    "/",
    "/legacy/",
    "/legacy",
    "/api/v4/projects/1/packages/pypi",
    "/api/v4/projects/1/packages/pypi/",
    "/api/v4/projects/default%2Fpackages/packages/pypi",
    "/api/v4/projects/default%2Fpackages/packages/pypi/",
]
IDENTICAL = '[groups."default"]\nid = 1\n[projects."default/packages"]\nid = 1\nduplicates = "identical"\n'


def variant(number: int) -> BuiltFile:
    """WHEEL's name with other bytes in it."""
    return build_wheel("demo-pkg", "1.0", modules={"demo_pkg.py": f"NUMBER = {number}\n"})


def digests(data: bytes) -> dict[str, str]:
    return {
        "sha256_digest": hashlib.sha256(data).hexdigest(),
        "md5_digest": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "blake2_256_digest": hashlib.blake2b(data, digest_size=32).hexdigest(),
    }


@pytest.mark.standard(78)
@pytest.mark.parametrize("route", ROUTES)
async def test_every_upload_route_takes_the_form_where_it_stands(server: Server, route: str) -> None:
    answer = await upload(server, WHEEL, to=route)
    assert (answer.status, answer.told) == (201, CREATED)
    (listed,) = (await server.page(PAGE)).files
    assert (await server.get(urljoin(PAGE, listed.url))).body == WHEEL.data


async def test_a_form_may_have_thousands_of_requirements(server: Server) -> None:
    requirements = [Part("requires_dist", f"requirement-{number}".encode()) for number in range(3000)]
    assert (await server.post("/legacy/", [*requirements, *form(WHEEL)])).status == 201


@pytest.mark.parametrize("project", ["1", "default%2Fpackages"])
async def test_authorize_checks_the_permission_alone(server: Server, project: str) -> None:
    assert (await server.post(f"/api/v4/projects/{project}/packages/pypi/authorize", [])).status == 200
    assert (await server.get("/simple/", Accept=JSON)).projects == []


@pytest.mark.standard(76, 87, 88, 89)
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({":action": None, "protocol_version": None}, id="no protocol"),
        pytest.param({"filetype": None, "pyversion": None}, id="no file type"),
        pytest.param({"name": "Demo.Pkg"}, id="name spelled otherwise"),
        pytest.param({"version": "v1.0"}, id="version with a v"),
        pytest.param({"version": "1"}, id="version spelled otherwise"),
        pytest.param({"requires_python": ""}, id="empty requires-python"),
        pytest.param({"metadata_version": "2.5", "import_name": "demo", "import_names": "demo"}, id="import names"),
        pytest.param({"license_expression": "MIT", "license_file": "LICENSE", "dynamic": "Version"}, id="2.4"),
        pytest.param({"attestations": "[]"}, id="no attestations"),
        pytest.param({"attestations": "{broken"}, id="broken attestations"),
        pytest.param({"classifiers": "Private :: Do Not Upload", "license": "UNKNOWN"}, id="private"),
        pytest.param({"summary": "x" * 300, "description": "y" * 5000, "keywords": "z" * 2000}, id="long texts"),
        pytest.param({"description": "\0 \udcff".encode("utf-8", "replace").decode()}, id="odd texts"),
    ],
)
@pytest.mark.gitlab(14, 15)
async def test_forms_of_all_clients_are_taken(server: Server, fields: dict[str, str | None]) -> None:
    for built in (WHEEL, SDIST):
        answer = await server.post("/legacy/", form(built, **fields))
        assert (answer.status, answer.told) == (201, CREATED)
    assert (await server.page(PAGE)).filenames == [WHEEL.filename, SDIST.filename]


@pytest.mark.standard(89)
async def test_a_signature_is_taken_and_not_kept(server: Server) -> None:
    parts = [*form(WHEEL), Part("gpg_signature", b"signed", f"{WHEEL.filename}.asc")]
    assert (await server.post("/legacy/", parts)).status == 201
    assert (await server.get(f"/files/{WHEEL.sha256}/{WHEEL.filename}.asc")).status == 404


@pytest.mark.standard(77)
@pytest.mark.parametrize("sent", [[], ["sha256_digest"], ["md5_digest"], ["blake2_256_digest"], [*digests(b"")]])
async def test_any_digests_may_be_sent(server: Server, sent: list[str]) -> None:
    known = digests(WHEEL.data)
    fields = {name: known[name].upper() if name in sent else None for name in known}
    assert (await server.post("/legacy/", form(WHEEL, **fields))).status == 201
    (listed,) = (await server.page(PAGE)).files
    assert listed.hashes == {"sha256": WHEEL.sha256}


async def test_parts_may_come_in_any_order(server: Server) -> None:
    assert (await server.post("/legacy/", form(WHEEL)[::-1])).status == 201


async def test_attestations_are_shown(server: Server) -> None:
    attestation = '{"version":1,"verification_material":{"a":"b"},"envelope":{"c":"d"}}'
    assert (await server.post("/legacy/", form(WHEEL, attestations=f"[{attestation}]"))).status == 201
    (listed,) = (await server.page(PAGE)).files
    answer = await server.get(urljoin(PAGE, listed.provenance or ""))
    assert answer.status == 200
    assert attestation in answer.body.decode()


@pytest.mark.standard(87)
async def test_spellings_of_a_name_are_one_project(server: Server) -> None:
    for version, name in (("1.0", "my.Pkg_x"), ("2.0", "my-pkg-x"), ("3.0", "MY_PKG_X")):
        built = build_wheel(name, version)
        assert (await server.post("/legacy/", form(built, name=name))).status == 201
    assert (await server.page("/simple/my-pkg-x/")).versions == ("1.0", "2.0", "3.0")
    assert (await server.get("/simple/", Accept=JSON)).projects == ["my-pkg-x"]


# Duplicates


@pytest.mark.gitlab(20)
async def test_another_file_of_a_known_version_is_taken(server: Server) -> None:
    await publish(server, WHEEL, SDIST, build_wheel("demo-pkg", "1.0", tag="py2.py3-none-any"))
    page = await server.page(PAGE)
    assert (len(page.files), page.versions) == (3, ("1.0",))


@pytest.mark.standard(79, 80)
@pytest.mark.parametrize("again", [WHEEL, variant(1)], ids=["same bytes", "other bytes"])
@pytest.mark.gitlab(21)
async def test_a_taken_name_is_400_in_gitlabs_words(server: Server, again: BuiltFile) -> None:
    await publish(server, WHEEL)
    before = await server.get(PAGE, Accept=JSON)
    answer = await upload(server, again)
    assert (answer.status, answer.told) == (400, {"message": TAKEN})
    assert "already been taken" in answer.reason
    assert (await server.get(PAGE, Accept=JSON)).body == before.body


@pytest.mark.standard(79, 80)
async def test_a_project_may_take_the_same_bytes_again(make_server: MakeServer) -> None:
    server = await make_server(IDENTICAL)
    await publish(server, WHEEL)
    before = await server.get(PAGE, Accept=JSON)
    answer = await upload(server, WHEEL)
    assert (answer.status, answer.told) == (201, CREATED)
    other = await upload(server, variant(1))
    assert (other.status, other.told) == (400, {"message": TAKEN})
    lying = await server.post("/legacy/", form(WHEEL, sha256_digest="0" * 64))
    assert (lying.status, "sha256" in lying.message) == (400, True)
    assert (await server.get(PAGE, Accept=JSON)).body == before.body


@pytest.mark.standard(81)
async def test_of_uploads_at_once_exactly_one_wins(server: Server) -> None:
    built = {variant.sha256: variant for variant in map(variant, range(6))}
    answers = await asyncio.gather(*(upload(server, file) for file in built.values()))
    assert Counter(answer.status for answer in answers) == {201: 1, 400: 5}
    assert {answer.message for answer in answers if answer.status == 400} == {TAKEN}
    (listed,) = (await server.page(PAGE)).files
    winner = built[listed.hashes["sha256"]]
    assert (await server.get(urljoin(PAGE, listed.url))).body == winner.data
    sent = dict(zip(built, answers, strict=True))
    assert sent[winner.sha256].status == 201


@pytest.mark.standard(81)
async def test_the_same_bytes_at_once_are_all_welcome_where_they_are_so_again(make_server: MakeServer) -> None:
    server = await make_server(IDENTICAL)
    answers = await asyncio.gather(*(upload(server, WHEEL) for _ in range(6)))
    assert {answer.status for answer in answers} == {201}
    assert len((await server.page(PAGE)).files) == 1


async def test_uploads_of_different_names_at_once_are_all_taken(server: Server) -> None:
    files = [build_wheel(f"demo-{number}", "1.0") for number in range(8)]
    answers = await asyncio.gather(*(upload(server, file) for file in files))
    assert {answer.status for answer in answers} == {201}
    assert len((await server.get("/simple/", Accept=JSON)).projects) == 8


async def test_what_was_published_survives_a_restart(make_server: MakeServer) -> None:
    server = await make_server()
    await publish(server, WHEEL, SDIST)
    before = await server.get(PAGE, Accept=JSON)
    await server.close()
    server = await make_server()
    after = await server.get(PAGE, Accept=JSON)
    assert (after.body, after.headers["ETag"]) == (before.body, before.headers["ETag"])
    assert (await server.get(after.link(SDIST.filename))).body == SDIST.data
