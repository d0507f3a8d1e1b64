from __future__ import annotations

from html import escape

import pytest

from proxy.core.errors import UpstreamBroken
from proxy.core.model import File, ProjectDetail, ProjectStatus, Status
from proxy.core.names import ProjectName
from proxy.core.parse import parse_detail

HTML = "text/html; charset=utf-8"
HTML_V1 = "application/vnd.pypi.simple.v1+html"
NAME = ProjectName("demo-pkg")
PAGE = "https://pypi.example/simple/demo-pkg/"
SHA, OTHER_SHA = "ab" * 32, "cd" * 32
WHEEL, SDIST = "demo_pkg-1.0-py3-none-any.whl", "demo_pkg-0.9.tar.gz"
VERSION_TAG = '<meta name="pypi:repository-version" content="1.4">'


def parse(html: str | bytes, content_type: str = HTML) -> ProjectDetail:
    body = html if isinstance(html, bytes) else html.encode()
    return parse_detail(body, content_type, url=PAGE, name=NAME, may_link=lambda origin: origin.host != "evil.example")


def link(href: str = f"{WHEEL}#sha256={SHA}", **data: str) -> str:
    attributes = "".join(f' data-{key.replace("_", "-")}="{escape(value)}"' for key, value in data.items())
    return f'<a href="{href}"{attributes}>text does not count</a>'


def parse_one(html: str) -> File:
    (file,) = parse(html).files
    return file


PYPI = f"""<!DOCTYPE html>
<html>
  <head>
    {VERSION_TAG}
    <meta name="pypi:project-status" content="archived">
    <meta name="pypi:project-status-reason" content="moved to &lt;other&gt;">
    <title>Links for demo-pkg</title>
  </head>
  <body>
    <h1>Links for demo-pkg</h1>
<a href="https://files.example/a/{WHEEL}#sha256={SHA}" data-requires-python="&gt;=3.9" data-dist-info-metadata="sha256={OTHER_SHA}" data-core-metadata="sha256={OTHER_SHA}" data-provenance="https://pypi.example/integrity/x">{WHEEL}</a><br />
<a href="https://files.example/b/{SDIST}#sha256={OTHER_SHA}" data-yanked="bad &quot;build&quot;&#10;really" >{SDIST}</a><br />
</body>
</html>
<!--SERIAL 31337-->"""  # noqa: E501 - as it is sent

GITLAB = f"""<!DOCTYPE html>
<html>
  <head>
    <title>Links for demo-pkg</title>
  </head>
  <body>
    <h1>Links for demo-pkg</h1>
    <a href="https://gitlab.example/api/v4/projects/1/packages/pypi/files/{SHA}/{WHEEL}#sha256={SHA}" data-requires-python="">{WHEEL}</a><br>
  </body>
</html>"""  # noqa: E501 - as it is sent

PYTORCH = f"""<!DOCTYPE html>
<html>
  <body>
    <h1>Links for torch</h1>
    <a href="/whl/cpu/demo_pkg-2.0.0%2Bcpu-cp310-cp310-linux_x86_64.whl#sha256={SHA}" data-dist-info-metadata="sha256={OTHER_SHA}">x</a><br/>
  </body>
</html>
<!--TIMESTAMP 1700000000-->"""  # noqa: E501 - as it is sent

NGINX = """<html>
<head><title>Index of /simple/demo-pkg/</title></head>
<body>
<h1>Index of /simple/demo-pkg/</h1><hr><pre><a href="../">../</a>
<a href="demo_pkg-0.9.tar.gz">demo_pkg-0.9.tar.gz</a>       01-Jan-2026 00:00      99
</pre><hr></body>
</html>"""


def test_a_page_of_pypi() -> None:
    assert parse(PYPI) == ProjectDetail(
        name=NAME,
        files=(
            File(
                filename=WHEEL,
                url=f"https://files.example/a/{WHEEL}",
                hashes={"sha256": SHA},
                requires_python=">=3.9",
                core_metadata={"sha256": OTHER_SHA},
                provenance="https://pypi.example/integrity/x",
            ),
            File(
                filename=SDIST,
                url=f"https://files.example/b/{SDIST}",
                hashes={"sha256": OTHER_SHA},
                yanked='bad "build"\nreally',
            ),
        ),
        versions=("0.9", "1.0"),
        status=ProjectStatus(Status.ARCHIVED, "moved to <other>"),
    )


def test_a_page_of_gitlab() -> None:
    (file,) = parse(GITLAB).files
    place = "https://gitlab.example/api/v4/projects/1/packages/pypi/files"
    assert file == File(WHEEL, f"{place}/{SHA}/{WHEEL}", {"sha256": SHA})


def test_a_page_of_pytorch() -> None:
    (file,) = parse(PYTORCH).files
    assert file.filename == "demo_pkg-2.0.0+cpu-cp310-cp310-linux_x86_64.whl"
    assert file.url == "https://pypi.example/whl/cpu/demo_pkg-2.0.0%2Bcpu-cp310-cp310-linux_x86_64.whl"
    assert file.core_metadata == {"sha256": OTHER_SHA}


def test_a_directory_listing_has_no_hashes_to_verify_by() -> None:
    detail = parse(NGINX)
    assert detail.files == ()
    assert [(skipped.filename, "no sha256" in skipped.reason) for skipped in detail.skipped] == [(SDIST, True)]


@pytest.mark.parametrize(
    "html",
    [
        "",
        "<!DOCTYPE html><html><body></body></html>",
        "plain words",
        "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>",
        "<html><head><title>Sign in</title></head><body><form action=/login><input name=user></form></body></html>",
        '<html><head><meta http-equiv="refresh" content="0; url=http://portal.example/"></head></html>',
        '<html><body><a href="/terms.html">Terms</a> <a href="/vpn-client-5.1.zip">VPN</a></body></html>',
        '<html><body><h1>It works!</h1><a href="/simple/">Simple index</a></body></html>',
        f"<html><body><script>var page = '{link()}';</script></body></html>",
        f"<html><body><!-- {VERSION_TAG} {link()} --></body></html>",
        "<![unknown[",
    ],
)
def test_html_that_is_no_index_is_not_an_empty_project(html: str) -> None:
    with pytest.raises(UpstreamBroken, match="HTML"):
        parse(html)


@pytest.mark.parametrize(
    "html",
    [
        f"<html><head>{VERSION_TAG}</head><body></body></html>",
        "<html><head><title>Links for demo-pkg</title></head><body></body></html>",
        "<html><body><h1>root/dev: links for demo-pkg</h1></body></html>",
        '<html><head><title>Index of /simple/demo-pkg</title></head><body><a href="../">../</a></body></html>',
    ],
)
def test_the_page_of_a_project_without_files(html: str) -> None:
    assert parse(html) == ProjectDetail(NAME)


def test_a_page_declared_as_one_of_the_simple_api_is_taken_at_its_word() -> None:
    assert parse("<!DOCTYPE html><html><body></body></html>", HTML_V1) == ProjectDetail(NAME)
    assert parse(PYPI, HTML_V1) == parse(PYPI)


@pytest.mark.parametrize("href", [f"{WHEEL}#sha256={SHA}", f"whatever.json#sha256={SHA}"])
def test_a_link_with_a_hash_is_mark_enough(href: str) -> None:
    assert parse_one(link(href)).sha256 == SHA


def test_a_link_to_a_file_of_the_project_is_mark_enough() -> None:
    assert [skipped.filename for skipped in parse(link(SDIST)).skipped] == [SDIST]
    with pytest.raises(UpstreamBroken):
        parse(link("other-0.9.tar.gz"))
    with pytest.raises(UpstreamBroken):
        parse(link("demo_pkg" + "-1" * 1_000_000 + ".tar.gz"))


@pytest.mark.parametrize("version", ["2.0", "", "x"])
def test_another_major_version_is_not_read(version: str) -> None:
    with pytest.raises(UpstreamBroken, match="api-version"):
        parse(f'<meta name="pypi:repository-version" content="{version}">{link()}')


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("https://files.example/deep/", f"https://files.example/deep/{WHEEL}"),
        ("https://files.example/deep/page.html#x", f"https://files.example/deep/{WHEEL}"),
        ("../../files/", f"https://pypi.example/files/{WHEEL}"),
        ("//files.example", f"https://files.example/{WHEEL}"),
        ("", f"{PAGE}{WHEEL}"),
        ("javascript:alert(1)/", f"{PAGE}{WHEEL}"),
        ("https://[::1/", f"{PAGE}{WHEEL}"),
    ],
)
def test_links_are_relative_to_the_base(base: str, expected: str) -> None:
    assert parse_one(f'<head><base href="{base}"></head>{link()}').url == expected


def test_the_first_base_counts() -> None:
    html = f'<base target="_top"><base href="/first/"><base href="/second/">{link()}'
    assert parse_one(html).url == f"https://pypi.example/first/{WHEEL}"


def test_a_base_does_not_lead_astray() -> None:
    assert parse(f'<base href="https://evil.example/">{link()}').files == ()


@pytest.mark.parametrize(
    ("href", "filename"),
    [
        (f"a/b/{WHEEL}#sha256={SHA}", WHEEL),
        (f" {WHEEL}#sha256={SHA}\n", WHEEL),
        (f"{WHEEL}?download=1/2#sha256={SHA}", WHEEL),
        (f"demo_pkg-1.0%2Bcu121-py3-none-any.whl#sha256={SHA}", "demo_pkg-1.0+cu121-py3-none-any.whl"),
        (f"demo_pkg-1.0+cu121-py3-none-any.whl#sha256={SHA}", "demo_pkg-1.0+cu121-py3-none-any.whl"),
        (f"demo_pkg-1%212.0.tar.gz#sha256={SHA}", "demo_pkg-1!2.0.tar.gz"),
        (f"d%C3%A9mo-1.0.zip#sha256={SHA}", "démo-1.0.zip"),
        (f"demo_pkg-1.0-variants.json#sha256={SHA}", "demo_pkg-1.0-variants.json"),
    ],
)
def test_the_file_name_is_the_end_of_the_path(href: str, filename: str) -> None:
    assert parse_one(link(href)).filename == filename


@pytest.mark.parametrize(
    "href", ["..%2F..%2Fx.whl", "a%00b.whl", "%0D%0Ax.whl", "a%5Cb.whl", "x.whl.metadata", "%2E%2E"]
)
def test_an_unsafe_file_name_is_left_out(href: str) -> None:
    detail = parse(link(f"{href}#sha256={SHA}"))
    assert (len(detail.files), len(detail.skipped)) == (0, 1)


@pytest.mark.parametrize(
    "href", ["../", "/", "", "#", "mailto:me@example", "https://demo.example", "README.html", "?C=N"]
)
def test_links_to_anything_else_are_ignored(href: str) -> None:
    detail = parse(f'{VERSION_TAG}<a href="{href}">x</a><a name="top"></a>')
    assert detail == ProjectDetail(NAME)


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        (f"sha256={SHA.upper()}", {"sha256": SHA}),
        (f"SHA256={SHA}", {"sha256": SHA}),
        (f"egg=demo&sha256={SHA}", {"sha256": SHA}),
        (f"sha256={SHA}&md5={'0' * 32}", {"sha256": SHA, "md5": "0" * 32}),
    ],
)
def test_hashes_in_the_fragment(fragment: str, expected: dict[str, str]) -> None:
    file = parse_one(link(f"{WHEEL}#{fragment}"))
    assert (file.hashes, file.url) == (expected, f"{PAGE}{WHEEL}")


@pytest.mark.parametrize(
    "fragment", ["", f"#md5={'0' * 32}", "#sha256=", "#sha256=xyz", f"#sha512={'0' * 128}", f"#{SHA}"]
)
def test_a_file_without_sha256_is_left_out(fragment: str) -> None:
    (skipped,) = parse(link(WHEEL + fragment)).skipped
    assert skipped.filename == WHEEL
    assert "no sha256" in skipped.reason


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"core_metadata": f"sha256={OTHER_SHA}"}, {"sha256": OTHER_SHA}),
        ({"core_metadata": f"SHA256={OTHER_SHA.upper()}"}, {"sha256": OTHER_SHA}),
        ({"dist_info_metadata": f"sha256={OTHER_SHA}"}, {"sha256": OTHER_SHA}),
        ({"core_metadata": "true"}, True),
        ({"core_metadata": "false", "dist_info_metadata": "true"}, False),
        ({"core_metadata": "true", "dist_info_metadata": f"sha256={OTHER_SHA}"}, True),
        ({"core_metadata": "", "dist_info_metadata": "true"}, True),
        ({"core_metadata": ""}, False),
        ({"core_metadata": "sha256=xyz"}, False),
        ({"core_metadata": "sha256=" + "0" * 40}, False),
        ({}, False),
    ],
)
def test_core_metadata(attributes: dict[str, str], expected: object) -> None:
    assert parse_one(link(**attributes)).core_metadata == expected


def test_yanked_is_told_by_the_attribute_being_there() -> None:
    assert parse_one(link()).yanked is False
    assert parse_one(link(yanked="")).yanked is True
    assert parse_one(f'<a href="{WHEEL}#sha256={SHA}" data-yanked>x</a>').yanked is True
    assert parse_one(link(yanked="bad")).yanked == "bad"


def test_provenance_that_leads_astray_is_dropped() -> None:
    assert parse_one(link(provenance="https://pypi.example/p")).provenance == "https://pypi.example/p"
    assert parse_one(link(provenance="https://evil.example/p")).provenance is None


def test_of_a_repeated_attribute_the_first_counts() -> None:
    assert parse_one(f'<a href="{WHEEL}#sha256={SHA}" href="https://evil.example/x.whl">x</a>').filename == WHEEL


def test_a_quarantined_project_offers_no_files() -> None:
    detail = parse(f'<meta name="pypi:project-status" content="quarantined">{link()}')
    assert detail == ProjectDetail(NAME, status=ProjectStatus(Status.QUARANTINED))


def test_bytes_that_are_not_utf8_cost_no_more_than_their_text() -> None:
    detail = parse(link(yanked="r\N{LATIN SMALL LETTER E WITH ACUTE}tir\xe9").encode("latin-1"))
    assert [file.yanked for file in detail.files] == ["r\ufffdtir\ufffd"]


@pytest.mark.parametrize(
    "broken", ["<", "<a ", "<a href='", "<!--", "</", "&#1", "<?", "<![if ", "<script>", "</scrip"]
)
def test_endlessly_broken_markup_ends(broken: str) -> None:
    """Each of these takes minutes where work grows with the square of the size."""
    assert len(parse(link() + broken * 100_000).files) == 1


def test_an_endless_fragment_is_read_once() -> None:
    assert len(parse(f"{link()}<a href='#{'sha1' * 100_000}'>x</a>").files) == 1


def test_a_link_cut_off_is_no_link() -> None:
    assert len(parse(link() + link(SDIST)[:-30]).files) == 1
