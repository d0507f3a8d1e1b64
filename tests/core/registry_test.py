from __future__ import annotations

import pytest

from proxy.core.names import GroupPath
from proxy.core.registry import Group, Project, Registry, Upstream

ACME = Group(1, GroupPath("acme"))
ML = Group(2, GroupPath("acme/ml"))
ACME_LABS = Group(3, GroupPath("acme-labs"))
TOOLS = Project(1, GroupPath("acme/tools"), ACME.path)
MODELS = Project(2, GroupPath("acme/ml/models"), ML.path)
ROBOTS = Project(3, GroupPath("acme-labs/robots"), ACME_LABS.path)
PYPI = Upstream("pypi", "https://pypi.org/simple/")

REGISTRY = Registry([ACME, ML, ACME_LABS], [TOOLS, MODELS, ROBOTS], [PYPI])


def test_groups_and_projects_have_number_spaces_of_their_own() -> None:
    assert REGISTRY.find_group("2") is ML
    assert REGISTRY.find_project("2") is MODELS


def test_a_path_finds_what_it_names_and_nothing_else() -> None:
    assert REGISTRY.find_group("acme/ml") is ML
    assert REGISTRY.find_project("acme/ml/models") is MODELS
    assert REGISTRY.find_group("acme/ml/models") is None
    assert REGISTRY.find_project("acme/ml") is None


@pytest.mark.parametrize(
    "identifier",
    [
        "",
        "0",
        "4",
        "-1",
        "1.0",
        " 1",
        "+1",
        "1_0",
        "\N{SUPERSCRIPT TWO}",
        "\N{FULLWIDTH DIGIT ONE}",
        "9" * 5000,
        "nobody",
    ],
)
def test_an_identifier_that_names_nothing_finds_nothing(identifier: str) -> None:
    assert REGISTRY.find_group(identifier) is None
    assert REGISTRY.find_project(identifier) is None


@pytest.mark.parametrize("identifier", ["acme%2Fml", "acme//ml", "/acme", "../acme", "acme\x00"])
def test_what_is_no_path_finds_nothing(identifier: str) -> None:
    assert REGISTRY.find_group(identifier) is None


def test_a_group_gathers_its_projects_and_its_descendants() -> None:
    assert REGISTRY.projects_of(ACME) == (TOOLS, MODELS)
    assert REGISTRY.projects_of(ML) == (MODELS,)
    assert REGISTRY.projects_of(ACME_LABS) == (ROBOTS,)
    assert REGISTRY.projects_of(TOOLS) == (TOOLS,)


def test_a_projects_rules_are_its_own_groups() -> None:
    assert REGISTRY.group_of(MODELS) is ML
    assert REGISTRY.group_of(ML) is ML


def test_the_reach_of_a_local_name_is_the_top_level_group() -> None:
    assert REGISTRY.root_of(MODELS) is ACME
    assert REGISTRY.root_of(ML) is ACME
    assert REGISTRY.root_of(ROBOTS) is ACME_LABS


def test_upstreams_are_found_by_name() -> None:
    assert REGISTRY.upstreams["pypi"] is PYPI


def test_a_password_is_not_shown() -> None:
    assert "hunter2" not in repr(Upstream("corp", "https://corp.example/simple/", password="hunter2"))


def test_a_group_names_the_setting_that_holds_a_rule() -> None:
    group = Group(4, GroupPath("acme/web"), settings={"forwarding": "forwarding.enabled"})
    assert group.setting("forwarding") == "forwarding.enabled"
    assert group.setting("min_age") == 'groups."acme/web".min_age'
