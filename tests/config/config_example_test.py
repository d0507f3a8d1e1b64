"""`config.example.toml` shows every key with its default, and its examples work."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.config import describe, load_config
from proxy.config.read import Tables
from proxy.config.schema import (
    Access,
    Cache,
    Forwarding,
    GroupTable,
    Log,
    ProjectTable,
    Server,
    TokenTable,
    UpstreamTable,
)
from tests.config.samples import CERTIFICATE, NO_ENVIRON

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
TEXT = EXAMPLE.read_text(encoding="utf-8")
UNSET = re.compile(r"^#(?=\[|\w+ = )", re.MULTILINE)
ENTRIES: dict[str, type[DataclassInstance]] = {
    "server": Server,
    "access": Access,
    "forwarding": Forwarding,
    "upstreams": UpstreamTable,
    "cache": Cache,
    "groups": GroupTable,
    "projects": ProjectTable,
    "tokens": TokenTable,
    "log": Log,
}


def with_examples() -> str:
    """The file with every example made a setting."""
    return UNSET.sub("", TEXT)


def entries(table: object) -> list[dict[str, object]]:
    """The tables that hold a table's keys: itself, or its entries."""
    if isinstance(table, list):
        return table
    assert isinstance(table, dict)
    inner = list(table.values())
    return inner if inner and all(isinstance(each, dict) for each in inner) else [table]


def test_what_it_sets_are_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example, built_in = load_config(EXAMPLE, NO_ENVIRON), load_config(None, NO_ENVIRON)
    assert built_in.source is None
    assert describe(example) == describe(built_in)
    assert example.registry.groups == built_in.registry.groups
    assert example.registry.projects == built_in.registry.projects
    assert example.registry.upstreams == built_in.registry.upstreams


def test_its_keys_are_all_that_there_are() -> None:
    document = tomllib.loads(with_examples())
    assert set(document) == {each.name for each in fields(Tables)} == set(ENTRIES)
    for name, kind in ENTRIES.items():
        shown = {key for entry in entries(document[name]) for key in entry}
        assert shown == {each.name for each in fields(kind)}, name


def test_keys_with_a_default_are_set_and_the_others_are_examples() -> None:
    document = tomllib.loads(TEXT)
    for name in ENTRIES.keys() - {"tokens"}:
        for entry in entries(document[name]):
            with_default = {each.name for each in fields(ENTRIES[name]) if each.default is not None}
            assert set(entry) == with_default - {"data_dir"}, name


def test_its_examples_load(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(CERTIFICATE, encoding="utf-8")
    text = with_examples().replace("/etc/ssl/corp-ca.pem", "ca.pem").replace('username = "" ', 'username = "me" ')
    file = tmp_path / "config.toml"
    file.write_text(text, encoding="utf-8")
    config = load_config(file, {"PYPI_PASSWORD": "secret", "PYPI_SIDECAR_READER": "secret"})
    assert [token.name for token in config.tokens] == ["ci", "reader"]
    assert config.registry.upstreams["pypi"].password == "secret"


@pytest.mark.parametrize("line", TEXT.splitlines())
def test_its_lines_fit_a_screen(line: str) -> None:
    assert len(line) <= 119
