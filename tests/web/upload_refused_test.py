"""Uploads that are refused, in GitLab's words, and leave nothing behind."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from proxy.compose import compose_store
from proxy.core.model import ProjectStatus, Status
from proxy.core.names import parse_project_name
from proxy.web.upload import MAX_FIELDS
from tests.builders import BuiltFile, build_metadata, build_sdist, build_wheel
from tests.web.server import JSON, Part, eventually, kept_by
from tests.web.uploads import content, form, publish, upload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.web.server import Answer, MakeServer, Server

NOTHING = {"blobs": 0, "parts": 0}
BOUNDARY = "xyz"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
MIB = 1024 * 1024

WHEEL = build_wheel("demo-pkg", "1.0")
SDIST = build_sdist("demo-pkg", "1.0")
WORDS = "400 Bad request - Validation failed: "


async def check_nothing_left(server: Server) -> None:
    await eventually(lambda: kept_by(server.data_dir) == NOTHING)
    assert (await server.get("/simple/", Accept=JSON)).projects == []


async def refused(server: Server, parts: Sequence[Part], **headers: str) -> Answer:
    """The answer to a form that leaves nothing behind. Its reason phrase says what its body says."""
    answer = await server.post("/legacy/", parts, **headers)
    assert answer.status >= 400
    (words,) = answer.told.values()
    assert answer.reason.removeprefix("Bad request - ") in words
    await check_nothing_left(server)
    return answer


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([Part("x", b"y")], {"error": "content is missing, name is missing, version is missing"}),
        (form(WHEEL)[:-1], {"error": "content is missing"}),
        (form(WHEEL, name=None), {"error": "name is missing"}),
        (form(WHEEL, version=""), {"error": "version is missing"}),
        ([*form(WHEEL)[:-1], Part("content", b"text")], {"error": "content is invalid"}),
        ([*form(WHEEL)[:-1], content(WHEEL, "")], {"error": "content is invalid"}),
        (form(WHEEL, sha256_digest="1%"), {"error": "sha256_digest is invalid"}),
        (form(WHEEL, sha256_digest="g" * 64), {"error": "sha256_digest is invalid"}),
        ([Part("version", b"2.0"), *form(WHEEL)], {"error": "version is invalid"}),
        (form(WHEEL, name=".$/@!^*"), {"message": f"{WORDS}Name is invalid"}),
        (form(WHEEL, name="d\xe9mo"), {"message": f"{WORDS}Name is invalid"}),
        (form(WHEEL, version="one"), {"message": f"{WORDS}Version is invalid"}),
        (form(WHEEL, version="1.0 "), {"message": f"{WORDS}Version is invalid"}),
    ],
    ids=lambda value: "" if isinstance(value, list) else str(value),
)
async def test_a_form_that_breaks_the_grammar_is_400(server: Server, parts: list[Part], told: dict[str, str]) -> None:
    answer = await refused(server, parts)
    assert (answer.status, answer.told) == (400, told)


@pytest.mark.standard(92)
@pytest.mark.parametrize("action", ["submit", "submit_pkg_info", "doc_upload"])
async def test_the_actions_of_old_are_gone(server: Server, action: str) -> None:
    assert (await refused(server, form(WHEEL, **{":action": action}))).status == 410


@pytest.mark.standard(92)
async def test_another_protocol_is_400(server: Server) -> None:
    assert (await refused(server, form(WHEEL, protocol_version="2"))).status == 400


@pytest.mark.standard(77)
@pytest.mark.parametrize(("field", "digits"), [("sha256_digest", 64), ("md5_digest", 32), ("blake2_256_digest", 64)])
async def test_a_digest_that_the_file_has_not_is_400(server: Server, field: str, digits: int) -> None:
    answer = await refused(server, form(WHEEL, **{field: "0" * digits}))
    assert (answer.status, field in answer.message) == (400, True)


@pytest.mark.standard(83)
@pytest.mark.parametrize(
    "filename",
    [
        "../demo_pkg-1.0-py3-none-any.whl",
        "..\\demo_pkg-1.0-py3-none-any.whl",
        "/etc/demo_pkg-1.0-py3-none-any.whl",
        "C:demo_pkg-1.0-py3-none-any.whl",
        "demo_pkg-1.0-py3-none-any.whl/",
        ".demo_pkg-1.0-py3-none-any.whl",
        "demo_pkg-1.0-py3-none-any.whl.metadata",
        "demo_pkg-1.0-py3-none-any.whl.asc",
        "demo_pkg-1.0-py3-none-any.whl\0",
        "demo_pkg-1.0-py3-none-any\x1b.whl",
        "demo_pkg-1.0-py3-none-any.exe",
        "demo_pkg-1.0-py3.whl",
        "demo_pkg-1.1-py3-none-any.whl",
        "other-1.0-py3-none-any.whl",
        "demo_pkg-1.0.tar.gz",
        "d" * 250 + "-1.0-py3-none-any.whl",
    ],
)
async def test_a_file_name_that_does_not_fit_is_400(server: Server, filename: str) -> None:
    answer = await refused(server, [*form(WHEEL)[:-1], content(WHEEL, filename)])
    assert answer.status == 400


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in members.items():
            archive.writestr(path, data)
    return buffer.getvalue()


def tarred(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in members.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


INFO = "demo_pkg-1.0.dist-info"
DESCRIBED = {
    f"{INFO}/METADATA": WHEEL.metadata,
    f"{INFO}/WHEEL": b"Wheel-Version: 1.0\n",
    f"{INFO}/RECORD": b"",
}
OTHER_METADATA = build_metadata("demo-pkg", "1.1")


@pytest.mark.standard(82, 84, 85)
@pytest.mark.parametrize(
    ("built", "data"),
    [
        pytest.param(WHEEL, b"", id="empty wheel"),
        pytest.param(SDIST, b"", id="empty sdist"),
        pytest.param(WHEEL, b"no zip", id="no zip"),
        pytest.param(WHEEL, WHEEL.data[:-30], id="cut zip"),
        pytest.param(WHEEL, WHEEL.data[:100] + b"\xff" + WHEEL.data[101:], id="damaged zip"),
        pytest.param(WHEEL, SDIST.data, id="sdist for a wheel"),
        pytest.param(WHEEL, tarred(**DESCRIBED) + WHEEL.data, id="zip and tar"),
        pytest.param(WHEEL, WHEEL.data + WHEEL.data, id="two zips"),
        pytest.param(WHEEL, zipped(**dict(list(DESCRIBED.items())[1:])), id="no METADATA"),
        pytest.param(WHEEL, zipped(**dict(list(DESCRIBED.items())[:1])), id="no WHEEL"),
        pytest.param(WHEEL, zipped(**{**DESCRIBED, f"{INFO}/METADATA": OTHER_METADATA}), id="another version inside"),
        pytest.param(WHEEL, build_wheel("other", "1.0").data, id="another project inside"),
        pytest.param(WHEEL, zipped(**{**DESCRIBED, "../evil.py": b"1"}), id="zip leads out"),
        pytest.param(WHEEL, zipped(**{**DESCRIBED, "bomb": bytes(120 * MIB)}), id="zip bomb"),
        pytest.param(SDIST, b"no gzip", id="no gzip"),
        pytest.param(SDIST, SDIST.data[:-30], id="cut gzip"),
        pytest.param(SDIST, WHEEL.data, id="wheel for an sdist"),
        pytest.param(SDIST, gzip.compress(tarred(**{"demo_pkg-1.0/setup.py": b""})), id="no PKG-INFO"),
        pytest.param(SDIST, gzip.compress(tarred(**{"demo_pkg-1.0/PKG-INFO": OTHER_METADATA})), id="another PKG-INFO"),
        pytest.param(SDIST, gzip.compress(bytes(120 * MIB)), id="gzip bomb"),
    ],
)
async def test_an_archive_that_cannot_be_trusted_is_400(server: Server, built: BuiltFile, data: bytes) -> None:
    bad = BuiltFile(built.filename, data, built.sha256, b"")
    answer = await refused(server, form(bad, sha256_digest=None))
    assert answer.status == 400


@pytest.mark.standard(86)
@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.gitlab(19)
async def test_a_file_over_the_limit_is_400(make_server: MakeServer, over: int) -> None:
    size = len(WHEEL.data)
    server = await make_server(f'[server]\nmax_upload_size = "{size - over}B"\n')
    answer = await upload(server, WHEEL)
    if over:
        assert (answer.status, answer.told) == (400, {"message": "400 Bad request - File is too large"})
        assert "File is too large" in answer.reason
        await check_nothing_left(server)
    else:
        assert answer.status == 201


@pytest.mark.standard(91)
@pytest.mark.parametrize("status", [Status.ARCHIVED, Status.QUARANTINED])
async def test_a_closed_project_takes_nothing(server: Server, status: Status) -> None:
    async with compose_store(server.config) as store:
        await store.save_status(1, parse_project_name("demo-pkg"), ProjectStatus(status))
    assert (await refused(server, form(WHEEL))).status == 403


@pytest.mark.gitlab(24)
async def test_a_protected_name_takes_nothing_from_below_its_role(make_server: MakeServer) -> None:
    server = await make_server(
        '[groups."default"]\nid = 1\n[projects."default/packages"]\nid = 1\n'
        'protection = [{pattern = "demo-*", push = "maintainer"}]\n'
    )
    answer = await refused(server, form(WHEEL))
    assert (answer.status, answer.told) == (403, {"message": "403 Forbidden - Package protected."})
    await publish(server, build_wheel("other", "1.0"))


# Bodies that are no form


def part(disposition: str, value: bytes = b"x") -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + value + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
NAMED = part('form-data; name="name"')


HEADERS = f"--{BOUNDARY}\r\n".encode()
IN_PART = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n'.encode()
NO_FORMS = {
    "urlencoded": ("application/x-www-form-urlencoded", b"name=demo&version=1.0"),
    "json": ("application/json", b"{}"),
    "mixed": ("multipart/mixed; boundary=xyz", NAMED + END),
    "no boundary": ("multipart/form-data", NAMED + END),
    "long boundary": (f"multipart/form-data; boundary={'x' * 71}", NAMED + END),
    "empty boundary": ("multipart/form-data; boundary=", NAMED + END),
    "another boundary": ("multipart/form-data; boundary=other", NAMED + END),
    "no type": ("", b""),
    "empty": (MULTIPART, b""),
    "no part": (MULTIPART, END),
    "no end": (MULTIPART, NAMED),
    "cut in a part": (MULTIPART, NAMED[:-10]),
    "cut in a header": (MULTIPART, NAMED[:20]),
    "no header": (MULTIPART, HEADERS + b"no header at all\r\n\r\nx\r\n" + END),
    "a header without a name": (MULTIPART, HEADERS + b": no name\r\n\r\nx\r\n" + END),
    "no disposition": (MULTIPART, HEADERS + b"\r\nx\r\n" + END),
    "another disposition": (MULTIPART, part("attachment; name=name") + END),
    "a part without a name": (MULTIPART, part("form-data") + END),
    "a name that is no ASCII": (MULTIPART, part("form-data; name=\xff") + END),
    "a long header": (MULTIPART, HEADERS + b"X: " + b"y" * 100_000 + b"\r\n\r\n" + END),
    "many headers": (MULTIPART, HEADERS + b"X: y\r\n" * 9000 + b"\r\n" + END),
    "one long line": (MULTIPART, b"x" * 300_000),
    "nested": (MULTIPART, HEADERS + b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in--\r\n" + END),
    "a length that is no number": (MULTIPART, IN_PART + b"Content-Length: x\r\n\r\nx\r\n" + END),
    "a length that is wrong": (MULTIPART, IN_PART + b"Content-Length: 99\r\n\r\nx\r\n" + END),
}


@pytest.mark.standard(90)
@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionHeader")
async def test_a_body_that_is_no_form_is_400(server: Server) -> None:
    for what, (content_type, body) in NO_FORMS.items():
        answer = await server.ask("POST", "/legacy/", {"Content-Type": content_type} if content_type else {}, body)
        assert answer.status == 400, what
        assert answer.told
    await check_nothing_left(server)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([Part("classifiers", b"x")] * (MAX_FIELDS + 1), id="too many fields"),
        pytest.param([Part("description", b"x" * 9 * MIB)] * 2, id="too large fields"),
        pytest.param([Part("gpg_signature", b"x" * 17 * MIB, "a.asc")], id="a large signature"),
        pytest.param([Part("n" * 5000, b"")] * 4000, id="long names"),
        pytest.param([content(WHEEL)], id="two contents"),
    ],
)
async def test_a_form_beyond_its_bounds_is_400(server: Server, parts: list[Part]) -> None:
    assert (await refused(server, [*parts, *form(WHEEL)])).status == 400


@pytest.mark.filterwarnings("ignore:unread_data:DeprecationWarning")  # aiohttp warns of what it calls itself
async def test_names_without_values_count_too(server: Server) -> None:
    assert (await refused(server, [*form(WHEEL), *[Part("n" * 5000, b"")] * 4000])).status == 400


@pytest.mark.standard(90)
async def test_an_upload_that_breaks_off_leaves_nothing(server: Server) -> None:
    whole = b"".join(part(f'form-data; name="{p.name}"', p.value) for p in form(WHEEL)[:-1])
    whole += part(f'form-data; name="content"; filename="{WHEEL.filename}"', WHEEL.data)[:-200]
    head = (
        f"POST /legacy/ HTTP/1.1\r\nHost: {server.netloc}\r\nContent-Type: {MULTIPART}\r\n"
        f"Content-Length: {len(whole) + 300}\r\n\r\n"
    )
    await server.leave_after(head.encode() + whole)
    await check_nothing_left(server)
    await publish(server, WHEEL)
