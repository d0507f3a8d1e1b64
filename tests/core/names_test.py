from __future__ import annotations

import pytest

from proxy.core.errors import InvalidName
from proxy.core.names import (
    MAX_FILENAME,
    MAX_PROJECT_NAME,
    GroupPath,
    parent_path,
    parse_filename,
    parse_group_path,
    parse_project_name,
    root_path,
)


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("requests", "requests"),
        ("My.Pkg__x", "my-pkg-x"),
        ("zope.interface", "zope-interface"),
        ("a-_.-b", "a-b"),
        ("A", "a"),
        ("0", "0"),
        ("x" * MAX_PROJECT_NAME, "x" * MAX_PROJECT_NAME),
    ],
)
def test_a_project_name_is_normalized(text: str, normalized: str) -> None:
    assert parse_project_name(text) == normalized


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "-a",
        "a-",
        "a.",
        "_a",
        "a b",
        "a/b",
        "../a",
        "a\n",
        "a\x00",
        "naïve",
        "\N{KELVIN SIGN}ivy",
        "a;b",
        "a[extra]",
        "x" * (MAX_PROJECT_NAME + 1),
    ],
)
def test_what_is_no_project_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_project_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "requests-2.31.0-py3-none-any.whl",
        "torch-2.0.0+cu121-cp311-cp311-linux_x86_64.whl",
        "epoch-1!2.0.tar.gz",
        "Foo-1.0.ZIP",
        "foo-1.0-py2.7.egg",
        "foo-1.0.win32-py2.7.exe",
        "mkey.zip",
        "pyfurby-0.1 (1).tar.gz",
        "scikit-highs-('0.6.0',).tar.gz",
        "Blackboard LMS CLI-0.0.18.linux-x86_64.tar.gz",
        "foo-1.0%2Bcu121.tar.gz",
        "foo-1.0#2.tar.gz",
        "foo-[1.0].tar.gz",
        "foo-1.0@2~3;4=5,6&7$8^9.tar.gz",
        "föö-1.0.tar.gz",
        "名前-1.0.tar.gz",
        "_private-1.0.tar.gz",
        "foo-1.0.tar.gz.sig",
        "x" * (MAX_FILENAME - 4) + ".zip",
        "é" * 125 + ".zip",
    ],
)
def test_a_filename_that_an_index_lists_is_kept_as_it_is(text: str) -> None:
    assert parse_filename(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "no-extension",
        "../up-1.0.zip",
        "dir/foo-1.0.zip",
        "/foo-1.0.zip",
        "dir\\foo-1.0.zip",
        "C:foo-1.0.zip",
        'foo"-1.0.zip',
        "foo<b>-1.0.zip",
        "foo|-1.0.zip",
        "foo?-1.0.zip",
        "foo*-1.0.zip",
        "foo-1.0.zip\x00",
        "foo-1.0.zip\r\nX-Injected: 1",
        "foo\t-1.0.zip",
        "foo\x7f-1.0.zip",
        "foo\x85-1.0.zip",
        "foo\N{RIGHT-TO-LEFT OVERRIDE}-1.0.zip",
        "foo\N{ZERO WIDTH SPACE}-1.0.zip",
        "foo\N{NO-BREAK SPACE}-1.0.zip",
        "foo\ud800-1.0.zip",
        ".hidden-1.0.zip",
        "-rf-1.0.zip",
        " foo-1.0.zip",
        "foo-1.0.zip ",
        "foo-1.0.zip.",
        "x" * (MAX_FILENAME - 3) + ".zip",
        "é" * 126 + ".zip",
    ],
)
def test_what_is_no_safe_path_component_is_no_filename(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_filename(text)


@pytest.mark.parametrize("companion", [".metadata", ".provenance", ".asc", ".METADATA"])
def test_a_filename_never_shadows_a_companion(companion: str) -> None:
    with pytest.raises(InvalidName, match="companion"):
        parse_filename(f"foo-1.0.zip{companion}")


def test_a_refused_filename_is_quoted_short() -> None:
    with pytest.raises(InvalidName) as refused:
        parse_filename("/" * 100_000)
    assert len(refused.value.message) < 2 * MAX_FILENAME


@pytest.mark.parametrize("text", ["acme", "acme/ml", "acme/ml/models", "a.b/c_d/e-f", "_x", "2024/reports"])
def test_a_group_path_is_kept_as_it_is(text: str) -> None:
    assert parse_group_path(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "acme/",
        "/acme",
        "acme//ml",
        ".",
        "..",
        "acme/..",
        ".acme",
        "-acme",
        "acme.",
        "acme-",
        "a b",
        "a%2Fb",
        "é",
    ],
)
def test_what_is_no_group_path_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_group_path(text)


def test_a_path_knows_its_parent_and_its_root() -> None:
    path = GroupPath("acme/ml/models")
    assert parent_path(path) == "acme/ml"
    assert root_path(path) == "acme"
    assert parent_path(GroupPath("acme")) is None
    assert root_path(GroupPath("acme")) == "acme"
