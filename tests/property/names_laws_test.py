"""Laws of names: normalizing is idempotent, a file name is one path component, and it tells its project."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from hypothesis import assume, example, given
from hypothesis import strategies as st
from packaging.version import Version

from proxy.core.distributions import Kind, candidate_projects, parse_distribution, version_of
from proxy.core.errors import InvalidName
from proxy.core.names import Filename, ProjectName, parse_filename, parse_group_path, parse_project_name, root_path

SDIST_SUFFIXES = (".tar.gz", ".zip", ".tar.bz2", ".tgz", ".ZIP", ".Tar.Gz")
HOSTILE = "aZ09._-+!~ /\\\"'%#?*:;<>&()[]\n\r\t\x00\x7f\x85\u00a0\u202e\ud800é名"

words = st.from_regex(r"[A-Za-z0-9]{1,8}", fullmatch=True)
separators = st.from_regex(r"[-_.]{1,3}", fullmatch=True)
numbers = st.integers(0, 3000)


@st.composite
def spelled_names(draw: st.DrawFn) -> str:
    """Names of PEP 508, in any spelling."""
    first, *rest = draw(st.lists(words, min_size=1, max_size=5))
    return first + "".join(draw(separators) + word for word in rest)


@st.composite
def versions(draw: st.DrawFn) -> Version:
    release = ".".join(map(str, draw(st.lists(numbers, min_size=1, max_size=4))))
    parts = [
        draw(st.sampled_from(["", "1!", "2020!"])),
        release,
        draw(st.sampled_from(["", "a1", "b2", "rc3"])),
        draw(st.sampled_from(["", ".post4"])),
        draw(st.sampled_from(["", ".dev5"])),
        draw(st.sampled_from(["", "+cu121", "+local.7"])),
    ]
    return Version("".join(parts))


hostile_texts = st.one_of(
    st.text(max_size=300),
    st.text(alphabet=HOSTILE, max_size=20).map(lambda text: f"{text}.zip"),
    st.builds("{}-{}.tar.gz".format, st.text(alphabet=HOSTILE, max_size=10), versions()),
)


def wheel_name(name: str, version: Version) -> Filename:
    """The binary distribution format's escaping: the normalized name with underscores."""
    return Filename(f"{parse_project_name(name).replace('-', '_')}-{version}-py3-none-any.whl")


@given(spelled_names())
def test_normalizing_is_idempotent(name: str) -> None:
    normalized = parse_project_name(name)
    assert parse_project_name(normalized) == normalized
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", normalized)


@given(st.lists(words, min_size=1, max_size=5), st.data())
def test_all_spellings_are_one_name(parts: list[str], data: st.DataObject) -> None:
    spelling = parts[0] + "".join(
        data.draw(separators) + data.draw(st.sampled_from([p, p.upper()])) for p in parts[1:]
    )
    assert parse_project_name(spelling) == parse_project_name("-".join(parts))


@given(st.one_of(st.text(), st.text(alphabet=HOSTILE, max_size=8)))
@example("\N{KELVIN SIGN}")
@example("\N{LATIN SMALL LETTER LONG S}")
@example("a\n")
def test_any_text_is_refused_or_becomes_a_normalized_name(text: str) -> None:
    try:
        normalized = parse_project_name(text)
    except InvalidName:
        return
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", normalized)


@given(hostile_texts)
@example("..")
@example("%2e%2e%2f.zip")
@example("a#b?c.zip")
def test_a_filename_is_one_path_component_one_url_segment_and_fits_into_quotes(text: str) -> None:
    try:
        filename = parse_filename(text)
    except InvalidName:
        return
    directory = Path("/srv/files")
    assert (directory / filename).parent == directory
    assert (directory / filename).name == filename
    url = urlsplit(f"https://index.example/files/{quote(filename, safe='')}")
    assert unquote(url.path.removeprefix("/files/")) == filename
    assert url.path.count("/") == 2
    assert (url.query, url.fragment) == ("", "")
    assert filename.isprintable()
    assert not set(filename) & {'"', "\\"}


@given(hostile_texts)
def test_any_filename_can_be_asked_what_it_is(text: str) -> None:
    """No name makes the questions fail with another error, and what they answer is normalized."""
    try:
        filename = parse_filename(text)
    except InvalidName:
        return
    for project in candidate_projects(filename):
        assert parse_project_name(project) == project
        version_of(filename, project)
    try:
        distribution = parse_distribution(filename)
    except InvalidName:
        return
    assert distribution.project in candidate_projects(filename)
    assert version_of(filename, distribution.project) == distribution.version


@given(spelled_names(), versions())
def test_a_wheels_name_tells_project_and_version(name: str, version: Version) -> None:
    filename, project = wheel_name(name, version), parse_project_name(name)
    assert parse_filename(filename) == filename
    assert parse_distribution(filename) == (project, version, Kind.WHEEL)
    assert candidate_projects(filename) == (project,)
    assert version_of(filename, project) == version


@given(spelled_names(), versions(), st.sampled_from(SDIST_SUFFIXES))
@example("flake8-2020", Version("1.7.0"), ".tar.gz")
@example("a-1-2-3-4-5-6", Version("7"), ".zip")
def test_an_sdists_name_tells_project_and_version_in_any_spelling(name: str, version: Version, suffix: str) -> None:
    filename, project = Filename(f"{name}-{version}{suffix}"), parse_project_name(name)
    assert parse_filename(filename) == filename
    assert parse_distribution(filename) == (project, version, Kind.SDIST)
    assert candidate_projects(filename)[0] == project
    assert version_of(filename, project) == version


@given(spelled_names(), st.sampled_from(["1.0-rc", "2.1.0-beta1", "0.15.1-post1", "1.0.2-2", "1.0-1-dev3"]))
@example("mercurial", "1.0-rc")
def test_a_version_with_dashes_still_leads_to_its_project(name: str, version: str) -> None:
    filename, project = Filename(f"{name}-{version}.tar.gz"), parse_project_name(name)
    assert project in candidate_projects(filename)
    assert version_of(filename, project) == Version(version)


@given(spelled_names(), spelled_names(), versions())
def test_another_projects_file_tells_no_version(name: str, other: str, version: Version) -> None:
    assume(parse_project_name(name) != parse_project_name(other))
    assert version_of(wheel_name(name, version), ProjectName(parse_project_name(other))) is None


@given(st.one_of(st.text(), st.text(alphabet="aA0._-/%", max_size=12)))
def test_a_group_path_has_no_empty_or_climbing_segment(text: str) -> None:
    try:
        path = parse_group_path(text)
    except InvalidName:
        return
    assert path == text
    assert path.startswith(root_path(path))
    assert not {"", ".", ".."} & set(path.split("/"))
