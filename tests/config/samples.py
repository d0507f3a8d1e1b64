"""Configs written and loaded in one line, and a certificate for `ca_file`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.config import load_config
from proxy.core.errors import InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from proxy.config import Config
    from proxy.core.registry import Group, Project

NO_ENVIRON: Mapping[str, str] = {}

GROUPS = """
[groups.acme]
id = 1
[groups."acme/ml"]
id = 2
[projects."acme/ml/packages"]
id = 1
"""
"""The least that two nested groups need."""

TOKEN = """
[[tokens]]
name = "ci"
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
scopes = ["api"]
"""

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUVNLWhh+LFJefQC8fRXnu6qbDaz8wCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjIxOTMyMzVaGA8yMTI2MTAyOTE5MzIz
NVowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABA/C
sJpM6Z+/V2WkUmxG4wxW5Qik49GvcJdcwfsO2xRMDEyLFL1+QPq9AFHD9fC+ZsnM
SIh85Lj5VVa4+Xks5vyjUzBRMB0GA1UdDgQWBBRYpmmU1YzeZvf/AjaW8FxoPgj2
3TAfBgNVHSMEGDAWgBRYpmmU1YzeZvf/AjaW8FxoPgj23TAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIQDC2OOGmlSD8HxeE4NHqlZnhenyXEUca9Oc
Z6sfq1pzsQIgA48s4XeUTs9EASmU2tdi+N930RvodkP5W4LiaunRXxE=
-----END CERTIFICATE-----
"""


def load(tmp_path: Path, text: str, environ: Mapping[str, str] = NO_ENVIRON) -> Config:
    file = tmp_path / "config.toml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, environ)


def faults(tmp_path: Path, text: str, environ: Mapping[str, str] = NO_ENVIRON) -> tuple[str, ...]:
    with pytest.raises(InvalidConfig) as raised:
        load(tmp_path, text, environ)
    return raised.value.faults


def group(config: Config, path: str) -> Group:
    found = config.registry.find_group(path)
    assert found is not None
    return found


def project(config: Config, path: str) -> Project:
    found = config.registry.find_project(path)
    assert found is not None
    return found
