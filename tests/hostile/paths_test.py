"""Names and paths that want to be something else: one decision for all spellings, no file but where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from proxy.web.connections import Limits
from tests.builders import BuiltFile, build_sdist, build_wheel
from tests.web.callers import CONFIG
from tests.web.server import JSON, forwards_to
from tests.web.uploads import content, form, publish

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.hostile.bounded import BoundedServer
    from tests.hostile.conftest import MakeBounded

WHEEL = build_wheel("demo", "1.0")
READER = {"Private-Token": "developer"}
DENY = '[groups."default"]\nid = 1\ndeny = ["demo"]\n[projects."default/packages"]\nid = 1\n'


def beside(server: BoundedServer) -> list[str]:
    """What lies where the data directory does."""
    return sorted(path.name for path in server.data_dir.parent.iterdir())


DENIED = [
    "demo",
    "Demo",
    "%64emo",
    "%44EMO",
    "d%65m%6f",
    "DEMO",
    "./demo",
    "x/../demo",
    "%2e/demo",
    "x/%2e%2e/demo",
    "x%2f..%2fdemo",
    "%2564emo",
    "demo%00",
    "demo%20",
    "%20demo",
    "demo.",
    "demo%2f",
    "demo;x",
    "demo%3bx",
    "demo%23",
    "demo%3f",
    "d\u0435mo",  # a Cyrillic letter
    "\uff44emo",  # a wide one
    "dem\u00f6",
    "demo\u200b",
    "d%C0%A5mo",
]


@pytest.mark.parametrize("spelled", DENIED)
async def test_a_denied_name_is_denied_however_it_is_spelled(
    make_bounded: MakeBounded, index: FakeIndex, spelled: str
) -> None:
    index.add_built("demo", WHEEL)
    server = await make_bounded(Limits(), forwards_to(index) + DENY)
    for place in ("/simple/{}/", "/api/v4/groups/1/-/packages/pypi/simple/{}/", f"/files/{WHEEL.sha256}/{{}}"):
        target = place.replace("{}", quote(spelled, safe="%/;"))
        answer = await server.get_raw(target.encode(), b"Accept: " + JSON.encode())
        assert answer.status in {301, 400, 404}, target
        assert answer.headers.get("location", "../demo/") == "../demo/"
    assert not [ask.path for ask in index.requests]


SPELLED_FILES = [
    f"{WHEEL.sha256}/{WHEEL.filename}",
    f"{WHEEL.sha256}/{WHEEL.filename.replace('d', '%64', 1)}",
    f"{WHEEL.sha256}/{WHEEL.filename.replace('.whl', '%2ewhl')}",
    f"%{ord(WHEEL.sha256[0]):02x}{WHEEL.sha256[1:]}/{WHEEL.filename}",
    f"{WHEEL.sha256.upper()}/{WHEEL.filename}",
    f"{WHEEL.sha256}/{WHEEL.filename.upper()}",
    f"{WHEEL.sha256}//{WHEEL.filename}",
    f"x/../{WHEEL.sha256}/{WHEEL.filename}",
    f"{WHEEL.sha256}/x%2f..%2f{WHEEL.filename}",
]


@pytest.mark.parametrize("suffix", ["", ".metadata", ".provenance", ".metadata.metadata", "%2emetadata", ".METADATA"])
async def test_a_private_file_is_private_however_it_is_spelled(make_bounded: MakeBounded, suffix: str) -> None:
    server = await make_bounded(Limits(), CONFIG)
    project = "/api/v4/projects/2/packages/pypi"
    await publish(server, WHEEL, to=project, **READER)
    groups = ["projects/2", "projects/%32", "projects/closed%2ftools", "projects/c%6cosed%2Ftools"]
    for group in [*groups, "groups/closed/-", "groups/%63losed/-", "groups/closed%2F/-", "groups/open/-"]:
        for spelled in SPELLED_FILES:
            target = f"/api/v4/{group}/packages/pypi/files/{spelled}{suffix}".encode()
            assert (await server.get_raw(target)).status in {401, 404}, target
            assert (await server.get_raw(target, b"Range: bytes=0-0")).status in {401, 404}, target
    known = await server.ask("GET", f"{project}/files/{SPELLED_FILES[1]}", READER)
    assert (known.status, known.body) == (200, WHEEL.data)


FILENAMES = [
    "../demo-1.0-py3-none-any.whl",
    "..\\demo-1.0-py3-none-any.whl",
    "%2e%2e%2fdemo-1.0-py3-none-any.whl",
    "..%2fdemo-1.0-py3-none-any.whl",
    "/tmp/demo-1.0-py3-none-any.whl",  # noqa: S108
    "//server/share/demo-1.0-py3-none-any.whl",
    "C:\\demo-1.0-py3-none-any.whl",
    "demo-1.0-py3-none-any.whl.metadata",
    "demo-1.0-py3-none-any.whl.metadata.metadata",
    "demo-1.0-py3-none-any.whl.provenance",
    "demo-1.0-py3-none-any.whl.asc",
    "demo-1.0-py3-none-any.whl.METADATA",
    "demo-1.0-py3-none-any.whl::$DATA",
    "demo-1.0-py3-none-any.whl ",
    "demo-1.0-py3-none-any.whl.",
    "demo-1.0-py3-none-any.whl\0.txt",
    "demo-1.0-py3-none-any.html",
    "demo-1.0-py3-none-any.svg",
    "CON.whl",
    "aux",
    "NUL-1.0-py3-none-any.whl",
    ".whl",
    "-demo-1.0-py3-none-any.whl",
    "d\u0435mo-1.0-py3-none-any.whl",
    "demo-1\uff0e0-py3-none-any.whl",
    "demo-\u0661.0-py3-none-any.whl",
    "demo-1.0-py3-none-\N{RIGHT-TO-LEFT OVERRIDE}any.whl",
    "demo-1.0-py3-none-any.whl\u200b",
    '"; filename="demo-1.0-py3-none-any.whl',
    "demo-1.0-py3-none-any.whl" + "/" * 300,
    "d" * 10_000 + ".whl",
]


@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionHeader")
async def test_no_file_name_leads_anywhere(server: BoundedServer) -> None:
    before = beside(server)
    for filename in FILENAMES:
        answer = await server.post("/legacy/", [*form(WHEEL)[:-1], content(WHEEL, filename)])
        assert answer.status == 400, filename
    assert beside(server) == before
    assert (await server.get("/simple/", Accept=JSON)).projects == []


NAMES = [
    "..",
    ".",
    "/",
    "de/mo",
    "de\\mo",
    "demo\0",
    "demo\r\nX: y",
    "con.",
    "-demo",
    "demo-",
    "d\u0435mo",
    "a" * 9000,
]


@pytest.mark.parametrize("field", ["name", "version"])
async def test_no_field_leads_anywhere(server: BoundedServer, field: str) -> None:
    before = beside(server)
    for value in [*NAMES, "1.0/..", "1.0\n2.0", "1" * 5000 + ".0", "1" + ".1" * 4000, "\u0661.0"]:
        answer = await server.post("/legacy/", form(WHEEL, **{field: value}))
        assert answer.status == 400, value
        assert "X" not in answer.headers
    assert beside(server) == before


async def test_names_that_a_file_system_folds_stay_apart_or_are_refused(server: BoundedServer) -> None:
    upper = build_sdist("demo", "1.0")
    lower = build_sdist("demo", "1.0", metadata_lines=["Summary: another"])
    folded = BuiltFile("Demo-1.0.tar.gz", upper.data, upper.sha256, upper.metadata)
    await publish(server, lower)
    answer = await server.post("/legacy/", form(folded))
    page = await server.page("/simple/demo/")
    assert answer.status in {201, 400}
    for file in page.files:
        data = lower.data if file.filename == lower.filename else upper.data
        assert (await server.get(f"/files/{file.hashes['sha256']}/{file.filename}")).body == data


async def test_a_redirect_repeats_nothing_that_breaks_a_header(server: BoundedServer) -> None:
    for target in (b"/simple/Demo%0d%0aX-Evil:%20y", b"/simple/Demo?%0d%0aX-Evil:y", b"/simple/DEMO/?a=%0aX-Evil:y"):
        answer = await server.get_raw(target)
        assert answer.status in {301, 404}
        assert "x-evil" not in answer.headers
