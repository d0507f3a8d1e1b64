"""What an upstream may say and learn: where its links may lead, whose password it sees, what of it is passed on."""

from __future__ import annotations

import base64
import gzip
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from proxy import __version__
from tests.builders import build_wheel
from tests.fake_index import POOR, PYPI, FakeIndex, Redirect, Status
from tests.web.conftest import ENVIRON
from tests.web.server import TEXT, forwards_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fake_index import Dialect
    from tests.web.server import MakeServer, Server

PAGE = "/simple/demo-pkg/"
WHEEL = build_wheel("demo-pkg", "1.0")
LINK = f"/files/{WHEEL.sha256}/{WHEEL.filename}"
CREDENTIALS = {"username": '"proxy"', "password_env": '"UPSTREAM_PASSWORD"'}
ELSEWHERE = [
    "http://127.0.0.1:1/demo_pkg-1.0-py3-none-any.whl",
    "http://169.254.169.254/latest/meta-data/demo_pkg-1.0-py3-none-any.whl",
    "http://[::1]/demo_pkg-1.0-py3-none-any.whl",
    "http://localhost/demo_pkg-1.0-py3-none-any.whl",
    "//evil.example/demo_pkg-1.0-py3-none-any.whl",
    "https://{host}/demo_pkg-1.0-py3-none-any.whl",
    "http://{host}.evil.example/demo_pkg-1.0-py3-none-any.whl",
    "http://{host}@evil.example/demo_pkg-1.0-py3-none-any.whl",
    "http://{host}:99999/demo_pkg-1.0-py3-none-any.whl",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:text/html,x",
]
"""Links of which none is to the file host, `{host}`."""
PASSWORD = ENVIRON["UPSTREAM_PASSWORD"]
BASIC = f"Basic {base64.b64encode(f'proxy:{PASSWORD}'.encode()).decode()}"


@pytest.fixture
async def elsewhere() -> AsyncIterator[FakeIndex]:
    """A host that the config does not name."""
    async with FakeIndex() as elsewhere:
        elsewhere.add_built("demo-pkg", WHEEL)
        yield elsewhere


@pytest.mark.parametrize("dialect", [PYPI, POOR], ids=["json", "html"])
async def test_a_link_that_leads_elsewhere_is_left_out(server: Server, index: FakeIndex, dialect: Dialect) -> None:
    index.dialect = dialect
    kept = index.add_wheel("demo-pkg", "2.0")
    hidden = [
        index.add_wheel("demo-pkg", f"1.{number}", link=link.replace("{host}", index.files_host))
        for number, link in enumerate(ELSEWHERE)
    ]
    assert (await server.page(PAGE)).filenames == [kept.filename]
    for file in hidden:
        assert (await server.get(f"/files/{file.sha256}/{file.filename}")).status == 404


@pytest.mark.parametrize("path", [PAGE, "*.whl", "*.metadata"])
async def test_a_redirect_that_leads_elsewhere_is_not_followed(
    server: Server, index: FakeIndex, elsewhere: FakeIndex, path: str
) -> None:
    file = index.add_built("demo-pkg", WHEEL)
    away = elsewhere.simple_url + "demo-pkg/" if path == PAGE else f"http://{elsewhere.files_host}{file.path}"
    index.fault(Redirect(away), path)
    assert (await server.get(f"{LINK}.metadata" if path == "*.metadata" else LINK)).status == 502
    assert elsewhere.requests == []


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_within_the_upstream_is_followed(server: Server, index: FakeIndex, code: int) -> None:
    file = index.add_built("demo-pkg", WHEEL)
    index.fault(Redirect(f"http://{index.files_host}{file.path}", code), "*.whl", times=1)
    assert (await server.get(LINK)).body == WHEEL.data
    assert index.count("GET", "*.whl") == 2


@pytest.mark.standard(98)
async def test_the_upstreams_password_is_for_its_own_origin(
    make_server: MakeServer, index: FakeIndex, caplog: pytest.LogCaptureFixture
) -> None:
    server = await make_server(forwards_to(index, **CREDENTIALS) + '[cache]\nnegative_ttl = "0s"\n')
    file = index.add_built("demo-pkg", WHEEL)
    index.fault(Redirect(f"http://{index.files_host}/simple/demo-pkg/"), PAGE, host="pages", times=1)
    assert (await server.get(PAGE)).status == 404
    assert (await server.get(LINK)).body == file.data
    sent = {(ask.host, ask.path == PAGE, ask.headers.get("Authorization")) for ask in index.requests}
    assert sent == {("pages", True, BASIC), ("files", True, None), ("files", False, None)}
    assert PASSWORD not in caplog.text
    assert BASIC not in caplog.text


async def test_the_upstream_learns_who_asks_and_nothing_of_for_whom(server: Server, index: FakeIndex) -> None:
    index.add_built("demo-pkg", WHEEL)
    await server.get(LINK, User_Agent="pip/26.3", Referer="http://secret.corp/", X_Forwarded_For="10.0.0.1")
    assert [ask.host for ask in index.requests] == ["pages", "files"]
    for ask in index.requests:
        assert ask.headers["User-Agent"].startswith(f"pypi-sidecar/{__version__}")
        assert not {"Referer", "X-Forwarded-For", "Cookie"} & set(ask.headers)


async def test_an_upstreams_html_is_never_passed_on(server: Server, index: FakeIndex) -> None:
    index.dialect = POOR
    evil = '3"><script>alert(1)</script>'
    index.add_built("demo-pkg", WHEEL, requires_python=evil, yanked=f"</a>{evil}")
    index.add_file("demo-pkg", "demo_pkg-<script>.tar.gz", b"x")
    body = (await server.get(PAGE, Accept=TEXT)).body
    assert WHEEL.filename.encode() in body
    assert b"<script" not in body
    assert b"SERIAL" not in body


async def test_no_name_changes_what_is_asked_of_the_upstream(server: Server, index: FakeIndex) -> None:
    for name in ("..%2fdemo-pkg", "demo-pkg%3Fx=y", "demo-pkg%23", "demo-pkg%2F..%2F..%2Fadmin"):
        assert (await server.get(f"/simple/{name}/")).status == 404
    assert index.requests == []


async def test_a_provenance_object_may_come_compressed(server: Server, index: FakeIndex) -> None:
    document = b'{"version": 1, "attestation_bundles": []}'
    index.add_built("demo-pkg", WHEEL, provenance=document)
    zipped = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    index.fault(Status(200, zipped, gzip.compress(document)), "/integrity/*")
    (listed,) = (await server.page(PAGE)).files
    assert (await server.get(urljoin(PAGE, listed.provenance or ""))).body == document


async def test_a_provenance_link_that_leads_elsewhere_is_left_out(server: Server, index: FakeIndex) -> None:
    index.add_built("demo-pkg", WHEEL, extra={"provenance": "http://169.254.169.254/provenance"})
    (listed,) = (await server.page(PAGE)).files
    assert listed.provenance is None
    assert (await server.get(f"{LINK}.provenance")).status == 404
