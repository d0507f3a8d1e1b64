"""What `check` prints: the effective config, loadable again, without secrets."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

from proxy.config import describe, load_config, to_toml
from tests.config.samples import CERTIFICATE, TOKEN, group, load

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.config import Config

TEXT = """
[server]
max_upload_size = "1024MiB"
trusted_proxies = ["10.0.0.0/8"]
data_dir = "data"
[cache]
page_ttl = "600s"
[access]
anonymous = "read"
[upstreams.corp]
url = "https://pypi.corp.example/simple"
username = "me"
password_env = "CORP"
ca_file = "ca.pem"
[groups.acme]
id = 1
visibility = "private"
reserved = ["acme-*"]
min_age = "2w"
min_age_exempt = ["six", {match = "urllib3==2.6.3", reason = "a \\"fix\\"", until = 2030-01-31T00:00:00Z}]
locked = true
[groups."acme/ml"]
id = 2
reserved = ["ml-*"]
upstreams = ["corp", "pypi"]
[projects."acme/ml/packages"]
id = 1
protection = [{pattern = "acme-*", push = "owner"}]
"""
ENVIRON = {"CORP": "hunter2", "READER": "hunter3"}


def loaded(tmp_path: Path, more: str = "") -> Config:
    (tmp_path / "ca.pem").write_text(CERTIFICATE, encoding="utf-8")
    return load(tmp_path, TEXT + more, ENVIRON)


def test_inheritance_is_taken_in(tmp_path: Path) -> None:
    ml = describe(loaded(tmp_path))["groups"]["acme/ml"]
    assert ml["visibility"] == "private"
    assert ml["reserved"] == ["acme-*", "ml-*"]
    assert ml["min_age"] == "2w"
    assert ml["locked"] is False
    assert describe(loaded(tmp_path))["projects"]["acme/ml/packages"]["visibility"] == "private"


def test_sizes_and_durations_are_as_they_were_written(tmp_path: Path) -> None:
    document = describe(loaded(tmp_path))
    assert document["server"]["max_upload_size"] == "1024MiB"
    assert document["cache"]["page_ttl"] == "600s"


def test_upstreams_name_every_host_that_counts(tmp_path: Path) -> None:
    upstreams = describe(loaded(tmp_path))["upstreams"]
    assert upstreams["pypi"]["file_hosts"] == ["files.pythonhosted.org"]
    assert upstreams["corp"]["ca_file"] == str(tmp_path / "ca.pem")


def test_secrets_are_masked(tmp_path: Path) -> None:
    reader = '[[tokens]]\nname = "reader"\nscopes = ["read_api"]\nsecret_env = "READER"\n'
    document = describe(loaded(tmp_path, TOKEN + reader))
    ci, reads = document["tokens"]
    assert ci["sha256"] == "********"
    assert reads["secret_env"] == "READER"
    assert document["upstreams"]["corp"]["password_env"] == "CORP"
    for form in (to_toml(document), json.dumps(document)):
        assert "hunter" not in form
        assert "9f86d081" not in form


def test_both_forms_hold_the_same(tmp_path: Path) -> None:
    document = describe(loaded(tmp_path, TOKEN + 'access = {acme = "guest"}\nexpires = 2030-01-31T00:00:00Z\n'))
    from_toml = tomllib.loads(to_toml(document))
    from_json = json.loads(json.dumps(document))
    assert from_toml["tokens"][0].pop("expires").isoformat() == from_json["tokens"][0].pop("expires")
    exempt_toml, exempt_json = (form["groups"]["acme"]["min_age_exempt"][1] for form in (from_toml, from_json))
    assert exempt_toml.pop("until").isoformat() == exempt_json.pop("until")
    for form in (from_toml, from_json):
        form["groups"]["acme/ml"]["min_age_exempt"].pop()
    assert from_toml == from_json


def test_the_effective_config_loads_to_itself(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    file = tmp_path / "effective.toml"
    file.write_text(to_toml(describe(config)), encoding="utf-8")
    again = load_config(file, ENVIRON)
    assert describe(again) == describe(config)
    assert again.server == config.server
    assert again.registry.groups == config.registry.groups
    assert again.registry.projects == config.registry.projects
    assert again.registry.upstreams == config.registry.upstreams
    assert group(again, "acme").min_age_exempt == group(config, "acme").min_age_exempt
