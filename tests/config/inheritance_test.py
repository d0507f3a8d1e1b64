"""What a group has from its ancestors and the instance, and which key says so (contract sections 3 and 9)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from proxy.core.registry import FileUrls, Visibility
from tests.config.samples import group, load, project

if TYPE_CHECKING:
    from pathlib import Path


def nested(instance: str = "", acme: str = "", ml: str = "", models: str = "") -> str:
    """Three groups, one in another, with one project in the innermost."""
    return f"""
{instance}
[groups.acme]
id = 1
{acme}
[groups."acme/ml"]
id = 2
{ml}
[groups."acme/ml/models"]
id = 3
{models}
[projects."acme/ml/models/llm"]
id = 1
"""


def test_unset_keys_are_the_parents(tmp_path: Path) -> None:
    acme = """
        visibility = "private"
        forwarding = false
        upstreams = []
        allow = ["numpy"]
        min_age = "7d"
        min_age_exempt = ["six"]
    """
    models = group(load(tmp_path, nested(acme=acme)), "acme/ml/models")
    assert models.visibility is Visibility.PRIVATE
    assert models.forwarding is False
    assert models.upstreams == ()
    assert [rule.text for rule in models.allow] == ["numpy"]
    assert models.min_age == timedelta(days=7)
    assert [exemption.rule.text for exemption in models.min_age_exempt] == ["six"]
    keys = ("visibility", "forwarding", "upstreams", "allow", "min_age", "min_age_exempt")
    assert {models.setting(key) for key in keys} == {f'groups."acme".{key}' for key in keys}


def test_own_keys_stand_over_the_parents(tmp_path: Path) -> None:
    acme = 'upstreams = []\nallow = ["numpy"]\nmin_age = "7d"\nmin_age_exempt = ["six"]'
    ml = 'upstreams = ["pypi"]\nallow = []\nmin_age = "0s"\nmin_age_exempt = ["torch"]'
    models = group(load(tmp_path, nested(acme=acme, ml=ml)), "acme/ml/models")
    assert models.upstreams == ("pypi",)
    assert models.allow == ()
    assert models.min_age == timedelta(0)
    assert [exemption.rule.text for exemption in models.min_age_exempt] == ["torch"]
    assert models.setting("min_age") == 'groups."acme/ml".min_age'


def test_reserved_and_deny_add_up(tmp_path: Path) -> None:
    acme = 'reserved = ["acme-*", "corp"]\ndeny = ["left-pad"]'
    models = 'reserved = ["corp", "llm-*"]\ndeny = ["numpy<2"]'
    found = group(load(tmp_path, nested(acme=acme, models=models)), "acme/ml/models")
    assert [pattern.text for pattern in found.reserved] == ["acme-*", "corp", "llm-*"]
    assert [rule.text for rule in found.deny] == ["left-pad", "numpy<2"]
    assert found.setting("deny") == 'groups."acme".deny, groups."acme/ml/models".deny'


def test_merge_and_file_urls_are_a_groups_own(tmp_path: Path) -> None:
    config = load(tmp_path, nested(acme='merge = ["torch"]\nfile_urls = "upstream"'))
    assert group(config, "acme").file_urls is FileUrls.UPSTREAM
    assert group(config, "acme/ml").merge == ()
    assert group(config, "acme/ml").file_urls is FileUrls.RELATIVE


@pytest.mark.parametrize(
    ("instance", "acme", "ml", "models", "forwarding", "setting"),
    [
        ("", "", "", "", True, "forwarding.enabled"),
        ("enabled = false", "", "", "", False, "forwarding.enabled"),
        ("enabled = false", "", "forwarding = true", "", True, 'groups."acme/ml".forwarding'),
        ("", "forwarding = false", "", "forwarding = true", True, 'groups."acme/ml/models".forwarding'),
        ("enabled = false\nlocked = true", "forwarding = true", "", "", False, "forwarding.enabled"),
        ("locked = true", "forwarding = false", "", "forwarding = false", True, "forwarding.enabled"),
        ("", "forwarding = false\nlocked = true", "forwarding = true", "", False, 'groups."acme".forwarding'),
        ("", "locked = true", "", "forwarding = false", True, "forwarding.enabled"),
        ("", "", "", "forwarding = false\nlocked = true", False, 'groups."acme/ml/models".forwarding'),
    ],
)
def test_forwarding_until_it_is_locked(
    tmp_path: Path, instance: str, acme: str, ml: str, models: str, *, forwarding: bool, setting: str
) -> None:
    found = group(load(tmp_path, nested(f"[forwarding]\n{instance}", acme, ml, models)), "acme/ml/models")
    assert found.forwarding is forwarding
    assert found.setting("forwarding") == setting


def test_the_order_of_the_file_does_not_matter(tmp_path: Path) -> None:
    text = '[groups."a/b"]\nid = 1\n[projects."a/b/c"]\nid = 1\n[groups.a]\nid = 2\nvisibility = "private"\n'
    config = load(tmp_path, text)
    assert group(config, "a/b").visibility is Visibility.PRIVATE
    assert [each.path for each in config.registry.groups] == ["a/b", "a"]


def test_a_project_is_as_visible_as_its_group_or_less(tmp_path: Path) -> None:
    text = nested(acme='visibility = "private"')
    assert project(load(tmp_path, text), "1").visibility is Visibility.PRIVATE
    assert project(load(tmp_path, nested() + 'visibility = "private"'), "1").visibility is Visibility.PRIVATE
    assert project(load(tmp_path, nested()), "1").visibility is Visibility.PUBLIC


def test_groups_that_only_begin_alike_are_strangers(tmp_path: Path) -> None:
    text = """
        [groups.acme]
        id = 1
        visibility = "private"
        [groups.acme-labs]
        id = 2
        [projects."acme/x"]
        id = 1
        [projects."acme-labs/x"]
        id = 2
    """
    assert group(load(tmp_path, text), "acme-labs").visibility is Visibility.PUBLIC
