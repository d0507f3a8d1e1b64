from __future__ import annotations

import pytest
from packaging.version import Version

from proxy.core.distributions import MAX_CANDIDATES, Kind, candidate_projects, parse_distribution, version_of
from proxy.core.errors import InvalidName
from proxy.core.names import Filename, ProjectName


@pytest.mark.parametrize(
    ("filename", "project", "version", "kind"),
    [
        ("requests-2.31.0-py3-none-any.whl", "requests", "2.31.0", Kind.WHEEL),
        ("foo-1.0-1-py3-none-any.whl", "foo", "1.0", Kind.WHEEL),
        ("Foo_Bar-1.0-py2.py3-none-any.whl", "foo-bar", "1.0", Kind.WHEEL),
        ("torch-2.0.0+cu121-cp311-cp311-linux_x86_64.whl", "torch", "2.0.0+cu121", Kind.WHEEL),
        ("epoch-1!2.0-py3-none-any.whl", "epoch", "1!2.0", Kind.WHEEL),
        ("requests-2.31.0.tar.gz", "requests", "2.31.0", Kind.SDIST),
        ("django-allauth-0.1.tar.gz", "django-allauth", "0.1", Kind.SDIST),
        ("SQLAlchemy-2.0.30.tar.gz", "sqlalchemy", "2.0.30", Kind.SDIST),
        ("zope.interface-8.4.1a1.tar.gz", "zope-interface", "8.4.1a1", Kind.SDIST),
        ("typing_extensions-4.12.2.tar.gz", "typing-extensions", "4.12.2", Kind.SDIST),
        ("flake8_2020-1.7.0.tar.gz", "flake8-2020", "1.7.0", Kind.SDIST),
        ("flake8-2020-1.7.0.tar.gz", "flake8-2020", "1.7.0", Kind.SDIST),
        ("pytest_flake8_v2-1.4.4.tar.gz", "pytest-flake8-v2", "1.4.4", Kind.SDIST),
        ("mercurial-3.3-rc.tar.gz", "mercurial", "3.3rc0", Kind.SDIST),
        ("GitPython-2.1.0-beta1.tar.gz", "gitpython", "2.1.0b1", Kind.SDIST),
        ("docutils-0.15.1-post1.tar.gz", "docutils", "0.15.1.post1", Kind.SDIST),
        ("cffi-1.0.2-2.tar.gz", "cffi-1-0-2", "2", Kind.SDIST),
        ("epoch-1!2.0.tar.gz", "epoch", "1!2.0", Kind.SDIST),
        ("local-1.0+cu121.tar.gz", "local", "1.0+cu121", Kind.SDIST),
        ("foo-v1.0.tar.gz", "foo", "1.0", Kind.SDIST),
        ("foo-V1.0.tar.gz", "foo", "1.0", Kind.SDIST),
        ("Foo-1.0.ZIP", "foo", "1.0", Kind.SDIST),
        ("foo-1.0.tar.bz2", "foo", "1.0", Kind.SDIST),
        ("foo-1.0.tgz", "foo", "1.0", Kind.SDIST),
        ("package with spaces-1.0.tar.gz", "package-with-spaces", "1.0", Kind.SDIST),
    ],
)
def test_a_filename_states_its_distribution(filename: str, project: str, version: str, kind: Kind) -> None:
    assert parse_distribution(Filename(filename)) == (project, Version(version), kind)


@pytest.mark.parametrize(
    "filename",
    [
        "requests-2.31.0.txt",
        "not-a-package.tar.gz",
        "-1.0.tar.gz",
        "foo.tar.gz",
        "foo-1.0",
        "foo-1.0-py2.7.egg",
        "foo-1.0.win32-py2.7.exe",
        "foo-1.0.linux-x86_64.tar.gz",
        "foo-1.0 (1).tar.gz",
        "foo-1.0-any.whl",
        "foo-bar-1.0-py3-none-any.whl",
        "foo-one-py3-none-any.whl",
        "föö-1.0-py3-none-any.whl",
        "_foo-1.0-py3-none-any.whl",
        "foo_-1.0.tar.gz",
        f"{'x' * 201}-1.0-py3-none-any.whl",
    ],
)
def test_any_other_name_states_none(filename: str) -> None:
    with pytest.raises(InvalidName):
        parse_distribution(Filename(filename))


@pytest.mark.parametrize(
    ("filename", "project", "version"),
    [
        ("torch-2.0.0+cu121-cp311-cp311-linux_x86_64.whl", "torch", "2.0.0+cu121"),
        ("foo-1.0-1-py3-none-any.whl", "foo", "1.0"),
        ("flake8-2020-1.7.0.tar.gz", "flake8-2020", "1.7.0"),
        ("cffi-1.0.2-2.tar.gz", "cffi", "1.0.2.post2"),
        ("mercurial-3.3-rc.tar.gz", "mercurial", "3.3rc0"),
        ("Foo-1.0.ZIP", "foo", "1.0"),
        ("pytz-2004b.tar.gz", "pytz", "2004b0"),
        ("package with spaces-1.0.tar.gz", "package-with-spaces", "1.0"),
        ("foo_bar-1.0-py2.7.egg", "foo-bar", "1.0"),
        ("foo-1.0-1.noarch.rpm", "foo", "1.0"),
    ],
)
def test_a_known_projects_file_tells_its_version(filename: str, project: str, version: str) -> None:
    assert version_of(filename, ProjectName(project)) == Version(version)


@pytest.mark.parametrize(
    ("filename", "project"),
    [
        ("requests-2.31.0.tar.gz", "urllib3"),
        ("requests-2.31.0.tar.gz", "requests-2"),
        ("flake8-2020-1.7.0.tar.gz", "flake8"),
        ("foo-1.0-1-py3-none-any.whl", "foo-1-0"),
        ("foo-1.0.win32-py2.7.exe", "foo"),
        ("foo-1.0.linux-x86_64.tar.gz", "foo"),
        ("pyfurby-0.1 (1).tar.gz", "pyfurby"),
        ("foo-1.0-src.tar.gz", "foo"),
        ("foo--1.0.tar.gz", "foo"),
        ("mkey.zip", "mkey"),
        ("", "foo"),
    ],
)
def test_a_version_that_the_name_does_not_tell_is_none(filename: str, project: str) -> None:
    assert version_of(filename, ProjectName(project)) is None


@pytest.mark.parametrize(
    ("filename", "projects"),
    [
        ("foo_bar-1.0-1-py3-none-any.whl", ["foo-bar"]),
        ("foo-bar-1.0.tar.gz", ["foo-bar"]),
        ("flake8-2020-1.7.0.tar.gz", ["flake8-2020", "flake8"]),
        ("cffi-1.0.2-2.tar.gz", ["cffi-1-0-2", "cffi"]),
        ("foo-1-1.tar.gz", ["foo-1", "foo"]),
        ("foo.1-1.tar.gz", ["foo-1"]),
        ("foo_bar-1.0-py2.7.egg", ["foo-bar"]),
        ("foo-1.0.win32-py2.7.exe", ["foo"]),
        ("Blackboard LMS CLI-0.0.18.linux-x86_64.tar.gz", ["blackboard-lms-cli"]),
        ("mkey.zip", ["mkey"]),
        ("notes.txt", ["notes"]),
        ("scikit-highs-('0.6.0',).tar.gz", ["scikit-highs", "scikit"]),
        ("not-a-package.tar.gz", ["not-a", "not", "not-a-package"]),
        ("föö-1.0-py3-none-any.whl", []),
        ("(1).tar.gz", []),
    ],
)
def test_a_file_may_belong_to_each_project_that_its_name_can_mean(filename: str, projects: list[str]) -> None:
    assert list(candidate_projects(Filename(filename))) == projects


def test_a_hostile_name_has_few_candidates() -> None:
    assert len(candidate_projects(Filename(f"a{'-1' * 100}.zip"))) == MAX_CANDIDATES
    assert len(candidate_projects(Filename(f"a{'-b' * 100}.zip"))) == MAX_CANDIDATES
