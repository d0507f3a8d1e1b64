from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from yarl import URL

from proxy.core.errors import UpstreamBroken
from proxy.core.model import File, ProjectDetail, ProjectStatus, Skipped, Status
from proxy.core.names import ProjectName
from proxy.core.parse import parse_detail

if TYPE_CHECKING:
    from collections.abc import Callable

JSON = "application/vnd.pypi.simple.v1+json"
HTML_V1 = "application/vnd.pypi.simple.v1+html"
NAME = ProjectName("demo-pkg")
PAGE = "https://pypi.example/simple/demo-pkg/"
FILES = "https://files.example"
SHA, OTHER_SHA = "ab" * 32, "cd" * 32
WHEEL = "demo_pkg-1.0-py3-none-any.whl"


def anywhere(_: URL) -> bool:
    return True


def parse(
    body: bytes,
    content_type: str = JSON,
    *,
    url: str = PAGE,
    name: ProjectName = NAME,
    may_link: Callable[[URL], bool] = anywhere,
) -> ProjectDetail:
    return parse_detail(body, content_type, url=url, name=name, may_link=may_link)


def entry(filename: str = WHEEL, **fields: object) -> dict[str, object]:
    given = {key.replace("_", "-"): value for key, value in fields.items()}
    return {"filename": filename, "url": f"{FILES}/{filename}", "hashes": {"sha256": SHA}, **given}


def page(*files: object, **fields: object) -> bytes:
    given = {key.replace("_", "-"): value for key, value in fields.items()}
    return json.dumps({"meta": {"api-version": "1.4"}, "name": "demo-pkg", "files": files, **given}).encode()


def parse_one(**fields: object) -> File:
    (file,) = parse(page(entry(WHEEL, **fields))).files
    return file


PYPI = b"""{"alternate-locations":[],"files":[
 {"core-metadata":{"sha256":"%(meta)s"},"data-dist-info-metadata":{"sha256":"%(meta)s"},
  "filename":"demo_pkg-1.0-py3-none-any.whl","hashes":{"sha256":"%(wheel)s"},
  "provenance":"https://pypi.example/integrity/demo-pkg/1.0/demo_pkg-1.0-py3-none-any.whl/provenance",
  "requires-python":">=3.9","size":1337,"upload-time":"2026-01-02T03:04:05.000006Z",
  "url":"https://files.example/packages/aa/bb/cc/demo_pkg-1.0-py3-none-any.whl","yanked":false},
 {"core-metadata":false,"data-dist-info-metadata":false,
  "filename":"demo_pkg-0.9.tar.gz","hashes":{"sha256":"%(sdist)s"},"provenance":null,"requires-python":null,
  "size":99,"upload-time":"2025-01-02T03:04:05Z",
  "url":"https://files.example/packages/dd/ee/ff/demo_pkg-0.9.tar.gz","yanked":"broken <build>"}],
 "meta":{"_last-serial":31337,"api-version":"1.4"},"name":"demo-pkg","project-status":{"status":"active"},
 "versions":["0.9","1.0"]}""" % {b"meta": b"01" * 32, b"wheel": SHA.encode(), b"sdist": OTHER_SHA.encode()}


def test_a_page_of_pypi() -> None:
    assert parse(PYPI) == ProjectDetail(
        name=NAME,
        files=(
            File(
                filename=WHEEL,
                url=f"{FILES}/packages/aa/bb/cc/{WHEEL}",
                hashes={"sha256": SHA},
                size=1337,
                requires_python=">=3.9",
                upload_time=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
                core_metadata={"sha256": "01" * 32},
                provenance=f"https://pypi.example/integrity/demo-pkg/1.0/{WHEEL}/provenance",
            ),
            File(
                filename="demo_pkg-0.9.tar.gz",
                url=f"{FILES}/packages/dd/ee/ff/demo_pkg-0.9.tar.gz",
                hashes={"sha256": OTHER_SHA},
                size=99,
                upload_time=datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC),
                yanked="broken <build>",
            ),
        ),
        versions=("0.9", "1.0"),
    )


def test_the_least_that_is_a_page() -> None:
    assert parse(b'{"name": "demo-pkg", "files": []}') == ProjectDetail(NAME)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "cannot be decoded"),
        (b"<html>", "cannot be decoded"),
        (PYPI[:-20], "cannot be decoded"),
        (b'{"name": "demo-pkg", "files": [{"filename": "\xff"}]}', "cannot be decoded"),
        (b'{"odd": ' + b"[" * 100_000, "cannot be decoded"),
        (b"[]", "not the page of a project"),
        (b"null", "not the page of a project"),
        (b'{"message": "no such project"}', "not the page of a project"),
        (b'{"name": "demo-pkg"}', "not the page of a project"),
        (b'{"files": []}', "not the page of a project"),
        (b'{"name": "demo-pkg", "files": {}}', "not the page of a project"),
        (b'{"name": 5, "files": []}', "not the page of a project"),
        (b'{"meta": {"api-version": "1.0"}, "projects": [{"name": "demo-pkg"}]}', "not the page of a project"),
    ],
)
def test_what_is_no_page(body: bytes, complaint: str) -> None:
    with pytest.raises(UpstreamBroken, match=complaint):
        parse(body)


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "text/plain", "application/vnd.pypi.simple.v2+json", "application/octet-stream"],
)
def test_a_page_of_another_content_type(content_type: str) -> None:
    with pytest.raises(UpstreamBroken, match="not a page of the simple API"):
        parse(PYPI, content_type)


@pytest.mark.parametrize("content_type", [JSON.upper(), f"{JSON}; charset=utf-8", f" {JSON} ;x=y"])
def test_a_content_type_in_any_spelling(content_type: str) -> None:
    assert parse(PYPI, content_type).files


@pytest.mark.parametrize("version", ["1.0", "1.4", "1.99", "1"])
def test_any_minor_version_is_read(version: str) -> None:
    assert parse(page(entry(), meta={"api-version": version})).files


@pytest.mark.parametrize("version", ["2.0", "0.9", "", "latest", "10.0"])
def test_another_major_version_is_not(version: str) -> None:
    with pytest.raises(UpstreamBroken, match="api-version"):
        parse(page(entry(), meta={"api-version": version}))


@pytest.mark.parametrize("spelling", ["demo-pkg", "Demo_Pkg", "demo--.pkg"])
def test_the_name_in_any_spelling(spelling: str) -> None:
    assert parse(page(entry(), name=spelling)).name == NAME


@pytest.mark.parametrize("other", ["demo-pkgs", "evil", "", "-", "n" * 1000])
def test_a_page_of_another_project(other: str) -> None:
    with pytest.raises(UpstreamBroken, match="speaks of the project") as caught:
        parse(page(entry(), name=other))
    assert len(caught.value.message) < 200


class TestFields:
    @pytest.mark.parametrize("key", ["core_metadata", "dist_info_metadata", "data_dist_info_metadata"])
    def test_core_metadata_under_each_of_its_names(self, key: str) -> None:
        assert parse_one(**{key: {"sha256": OTHER_SHA}}).core_metadata == {"sha256": OTHER_SHA}
        assert parse_one(**{key: True}).core_metadata is True

    def test_the_newest_name_of_core_metadata_wins(self) -> None:
        old = {"dist_info_metadata": {"sha256": SHA}, "data_dist_info_metadata": {"sha256": SHA}}
        assert parse_one(core_metadata={"sha256": OTHER_SHA}, **old).core_metadata == {"sha256": OTHER_SHA}
        assert parse_one(core_metadata=False, **old).core_metadata is False
        assert parse_one(core_metadata=None, **old).core_metadata == {"sha256": SHA}

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"sha256": OTHER_SHA.upper()}, {"sha256": OTHER_SHA}),
            ({"SHA256": OTHER_SHA}, {"sha256": OTHER_SHA}),
            ({"sha512": "0f" * 64}, {"sha512": "0f" * 64}),
            ({}, False),
            ({"sha256": "zz" * 32}, False),
            ({"sha256": "ab"}, False),
            ({"sha256": OTHER_SHA, "md5": "not hex"}, False),
            (None, False),
            ("sha256=ab", False),
            (1, False),
        ],
    )
    def test_core_metadata(self, given: object, expected: object) -> None:
        assert parse_one(core_metadata=given).core_metadata == expected

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (False, False),
            (None, False),
            (True, True),
            ("", True),
            ("broken", "broken"),
            (0, False),
            ([], False),
            (1, True),
            ({"reason": "broken"}, True),
        ],
    )
    def test_yanked_errs_on_the_safe_side(self, given: object, expected: object) -> None:
        assert parse_one(yanked=given).yanked == expected

    @pytest.mark.parametrize(("given", "expected"), [(">=3", ">=3"), ("", None), (None, None), (3, None), ([], None)])
    def test_requires_python(self, given: object, expected: object) -> None:
        assert parse_one(requires_python=given).requires_python == expected

    @pytest.mark.parametrize(
        ("given", "expected"),
        [(0, 0), (2**40, 2**40), (None, None), (-1, None), (2**63, None), ("7", None), (1.5, None)],
    )
    def test_size(self, given: object, expected: object) -> None:
        assert parse_one(size=given).size == expected

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
            ("2026-01-02T03:04:05.12Z", datetime(2026, 1, 2, 3, 4, 5, 120000, tzinfo=UTC)),
            ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
            ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
            ("9999-12-31T23:59:59-10:00", None),
            ("0001-01-01T00:00:00+10:00", None),
            ("2026-02-30T00:00:00Z", None),
            ("yesterday", None),
            (1767323045, None),
            ("", None),
            (None, None),
        ],
    )
    def test_upload_time_is_in_utc(self, given: object, expected: datetime | None) -> None:
        upload_time = parse_one(upload_time=given).upload_time
        assert upload_time == expected
        assert upload_time is None or upload_time.tzinfo is UTC

    def test_hashes_are_lower_case_hex(self) -> None:
        given = {"SHA256": SHA.upper(), "md5": "0A" * 16, "blake2b": "none", "weird name": "00" * 16}
        assert parse_one(hashes=given).hashes == {"sha256": SHA, "md5": "0a" * 16}

    def test_odd_fields_cost_no_other_file(self) -> None:
        second = entry("demo_pkg-1.1.tar.gz", size=5, requires_python=">=3")
        first = entry(size="big", yanked="broken", gpg_sig=3)
        files = parse(page(first, second)).files
        assert [(file.size, file.yanked, file.requires_python) for file in files] == [
            (None, "broken", None),
            (5, False, ">=3"),
        ]

    def test_unknown_keys_never_matter(self) -> None:
        odd = {"_private": [1], "namespaces": 7, "tracks": {"a": None}}
        assert parse(page(entry(zstd={"x": 1}), **odd)) == parse(page(entry()))


class TestLinks:
    @pytest.mark.parametrize(
        ("link", "expected"),
        [
            (f"{FILES}/a/{WHEEL}", f"{FILES}/a/{WHEEL}"),
            (f"../../files/{WHEEL}", f"https://pypi.example/files/{WHEEL}"),
            (f"/files/{WHEEL}", f"https://pypi.example/files/{WHEEL}"),
            (WHEEL, f"{PAGE}{WHEEL}"),
            (f"//files.example/{WHEEL}", f"{FILES}/{WHEEL}"),
            (f"{FILES}/{WHEEL}#sha256={SHA}", f"{FILES}/{WHEEL}"),
            (f"{FILES}/{WHEEL}?signature=x", f"{FILES}/{WHEEL}?signature=x"),
            (f"https://user:secret@files.example/{WHEEL}", f"{FILES}/{WHEEL}"),
            (f"{FILES}/a b/{WHEEL}", f"{FILES}/a%20b/{WHEEL}"),
            (f"{FILES}/torch-2.0%2Bcpu.whl", f"{FILES}/torch-2.0%2Bcpu.whl"),
            (f"HTTPS://Files.Example:443/{WHEEL}", f"{FILES}/{WHEEL}"),
        ],
    )
    def test_are_absolute_without_fragment_and_credentials(self, link: str, expected: str) -> None:
        assert parse_one(url=link).url == expected

    def test_of_a_page_with_credentials_do_not_repeat_them(self) -> None:
        detail = parse(page(entry(url=WHEEL)), url="https://user:secret@pypi.example/simple/demo-pkg/")
        assert detail.files[0].url == f"{PAGE}{WHEEL}"

    @pytest.mark.parametrize(
        ("link", "reason"),
        [
            (
                "https://evil.example/x.whl",
                "its link leads to https://evil.example, which is not a host of this upstream",
            ),
            ("//evil.example/x.whl", "https://evil.example"),
            ("http://files.example/x.whl", "its link leads to http://files.example,"),
            ("https://files.example:8443/x.whl", "its link leads to https://files.example:8443,"),
            ("https://files.example.evil.example/x.whl", "evil.example"),
            ("https://files.example@evil.example/x.whl", "its link leads to https://evil.example,"),
            ("https://files.example\\@evil.example/x.whl", "its link"),
            ("https://evil.example\\.files.example/x.whl", "its link"),
            ("https://evil.example?/files.example/x.whl", "https://evil.example"),
            ("https://evil.example#/files.example/x.whl", "https://evil.example"),
            ("https://169.254.169.254/x.whl", "169.254.169.254"),
            ("https://files.example:99999/x.whl", "its link"),
            ("https://[::1/x.whl", "its link is not a URL"),
            ("http:///x.whl", "its link is not an http or https URL"),
            ("http:x.whl", "its link is not an http or https URL"),
            ("https:x.whl", "its link leads to https://pypi.example,"),
            ("javascript:alert(1)", "its link is not a"),
            ("data:text/html,x", "its link is not a"),
            ("file:///etc/passwd", "its link is not a"),
            ("ftp://files.example/x.whl", "its link is not an http or https URL"),
        ],
    )
    def test_that_lead_astray_leave_the_file_out(self, link: str, reason: str) -> None:
        def may_link(origin: URL) -> bool:
            return origin == URL(FILES)

        detail = parse(page(entry(url=link)), may_link=may_link)
        assert detail.files == ()
        (skipped,) = detail.skipped
        assert skipped.filename == WHEEL
        assert reason in skipped.reason

    def test_are_judged_once_for_each_origin(self) -> None:
        asked: list[URL] = []

        def may_link(origin: URL) -> bool:
            asked.append(origin)
            return True

        names = [f"demo_pkg-{number}.tar.gz" for number in range(9)]
        parse(
            page(*map(entry, names), *(entry(f"{name}.zip", url=f"{PAGE}x/{name}") for name in names)),
            may_link=may_link,
        )
        assert asked == [URL(FILES), URL("https://pypi.example")]

    @pytest.mark.parametrize(
        ("link", "expected"),
        [
            ("https://pypi.example/integrity/x", "https://pypi.example/integrity/x"),
            (f"{WHEEL}.provenance", f"{PAGE}{WHEEL}.provenance"),
            ("https://evil.example/integrity/x", None),
            ("javascript:alert(1)", None),
            ("", None),
            (None, None),
            (7, None),
        ],
    )
    def test_to_provenance_are_dropped_where_they_lead_astray(self, link: object, expected: str | None) -> None:
        detail = parse(page(entry(provenance=link)), may_link=lambda origin: origin.host != "evil.example")
        assert [file.provenance for file in detail.files] == [expected]


class TestSkipped:
    @pytest.mark.parametrize(
        ("odd", "reason"),
        [
            (entry(hashes={}), "it has no sha256"),
            (entry(hashes={"md5": "00" * 16}), "it has no sha256"),
            (entry(hashes={"sha256": "ab"}), "a sha256 has 64 hexadecimal digits"),
            (entry(hashes={"sha256": None}), "its entry cannot be read"),
            (entry("../x.whl"), "not a file name"),
            (entry("x.whl.metadata"), "companion"),
            (entry("demo\r\nSet-Cookie.whl"), "not a file name"),
            (entry("nodot"), "not a file name"),
            (entry(""), "not a file name"),
            (entry("x" * 300 + ".whl"), "not a file name"),
            ({"filename": "x.whl", "hashes": {"sha256": SHA}}, "its entry cannot be read"),
            ({"filename": "x.whl", "url": None, "hashes": {"sha256": SHA}}, "its entry cannot be read"),
            ({"url": "x.whl", "hashes": {"sha256": SHA}}, "its entry cannot be read"),
            ({"filename": ["x.whl"], "url": "x.whl", "hashes": {"sha256": SHA}}, "its entry cannot be read"),
            ("x.whl", "its entry is not an object"),
            (None, "its entry is not an object"),
        ],
    )
    def test_an_odd_file_is_left_out_alone(self, odd: object, reason: str) -> None:
        detail = parse(page(odd, entry("demo_pkg-2.0.tar.gz")))
        assert [file.filename for file in detail.files] == ["demo_pkg-2.0.tar.gz"]
        (skipped,) = detail.skipped
        assert reason in skipped.reason

    def test_what_is_kept_of_a_hostile_name_can_be_shown(self) -> None:
        (skipped,) = parse(page(entry("\x1b[31m" + "x" * 1000))).skipped
        assert skipped.filename == "\N{REPLACEMENT CHARACTER}[31m" + "x" * 250

    def test_of_files_of_one_name_the_first_counts(self) -> None:
        detail = parse(page(entry(), entry(hashes={"sha256": OTHER_SHA})))
        assert [file.sha256 for file in detail.files] == [SHA]
        assert detail.skipped == (Skipped(WHEEL, "it is listed twice; the first one counts"),)

    def test_a_file_left_out_takes_no_name(self) -> None:
        detail = parse(page(entry(hashes={}), entry(hashes={"sha256": OTHER_SHA})))
        assert [file.sha256 for file in detail.files] == [OTHER_SHA]


class TestVersions:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (["0.9", "1.0"], ("0.9", "1.0")),
            (["1.10", "1.9", "1.0"], ("1.0", "1.9", "1.10")),
            (["1.0", "1.0", "1.0.0"], ("1.0",)),
            (["1.0.0"], ("1.0.0",)),
            (["2.0"], ("1.0", "2.0")),
            (["1.0", "latest", "1" * 5000], ("1" * 5000, "latest", "1.0")),
            ([], ("1.0",)),
            (None, ("1.0",)),
            (["2.0", None, 3], ("1.0", "2.0")),
            ("1.0", ("1.0",)),
        ],
    )
    def test_are_in_order_once_and_cover_each_file(self, given: object, expected: tuple[str, ...]) -> None:
        assert parse(page(entry(), versions=given)).versions == expected

    def test_are_read_from_file_names_where_the_page_gives_none(self) -> None:
        names = [
            "demo_pkg-1.10-py3-none-any.whl",
            "demo_pkg-1.9-py3-none-any.whl",
            "demo-pkg-1.0.post1.tar.gz",
            "demo_pkg-1.0+cpu-py3-none-any.whl",
            "demo_pkg-1!0.5.tar.gz",
            "demo_pkg-0.1-py2.7.egg",
            "demo.pkg-0.2.win32.exe",
            "something-else-7.0.tar.gz",
        ]
        versions = parse(page(*map(entry, names))).versions
        assert versions == ("0.1", "1.0+cpu", "1.0.post1", "1.9", "1.10", "1!0.5")


class TestStatus:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"status": "active"}, ProjectStatus()),
            ({"status": "archived"}, ProjectStatus(Status.ARCHIVED)),
            ({"status": "deprecated", "reason": "use other"}, ProjectStatus(Status.DEPRECATED, "use other")),
            ({"status": "deprecated", "reason": 5}, ProjectStatus(Status.DEPRECATED)),
            ({"status": "deprecated", "reason": ""}, ProjectStatus(Status.DEPRECATED)),
            ({"status": "of the future"}, ProjectStatus()),
            ({"status": None}, ProjectStatus()),
            ({}, ProjectStatus()),
            ("archived", ProjectStatus()),
            (None, ProjectStatus()),
        ],
    )
    def test_is_the_upstreams(self, given: object, expected: ProjectStatus) -> None:
        assert parse(page(entry(), project_status=given)).status == expected

    @pytest.mark.parametrize("reason", ["malware", None, 5])
    def test_a_quarantined_project_offers_no_files(self, reason: object) -> None:
        quarantined = {"status": "quarantined", "reason": reason}
        detail = parse(page(entry(), entry(hashes={}), project_status=quarantined, versions=["1.0"]))
        assert detail.status.status is Status.QUARANTINED
        assert (detail.files, detail.versions, detail.skipped) == ((), ("1.0",), ())


class TestLongPages:
    """They are read in pieces."""

    COUNT = 2000

    def files(self) -> list[dict[str, object]]:
        return [entry(f"demo_pkg-1.{number}.tar.gz", size=number) for number in range(self.COUNT)]

    def test_all_files_in_order(self) -> None:
        files = parse(page(*self.files(), versions=["0.1"])).files
        assert [file.size for file in files] == list(range(self.COUNT))

    def test_odd_entries_are_told_from_the_rest(self) -> None:
        odd = {"filename": "odd-1.0.tar.gz", "url": 7, "hashes": {}}
        detail = parse(page(odd, *self.files(), entry("demo_pkg-2.tar.gz", hashes={}), odd))
        assert len(detail.files) == self.COUNT
        assert [skipped.filename for skipped in detail.skipped] == ["odd-1.0.tar.gz"] * 2 + ["demo_pkg-2.tar.gz"]

    @pytest.mark.parametrize("fields", [{"versions": 7}, {"x": [{"files": [{}]}]}, {"project_status": []}])
    def test_odd_pages_too(self, fields: dict[str, object]) -> None:
        assert len(parse(page(*self.files(), **fields)).files) == self.COUNT

    def test_a_page_that_was_cut_off_is_broken(self) -> None:
        body = page(*self.files())
        for end in (-1, -2, -3, -100_000):
            with pytest.raises(UpstreamBroken):
                parse(body[:end])
