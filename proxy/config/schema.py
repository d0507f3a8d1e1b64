# ruff: noqa: RUF009 - key() and its kin make dataclass fields; what they are given never changes
"""Every table of the config, with the default of every key: the law that `config.example.toml` shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from platformdirs import user_data_path

from proxy.config import parse
from proxy.config.faults import Unfit
from proxy.config.shapes import flag, list_of, member, whole
from proxy.config.tables import computed, key, nested, required, unset
from proxy.config.units import Duration
from proxy.core.access import Anonymous, Kind, Scope
from proxy.core.freshness import CacheRules
from proxy.core.registry import Duplicates, FileUrls, ForwardingMode, Protection, Visibility
from proxy.core.rules import Exemption, NamePattern, NameRule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from proxy.config.parse import Network
    from proxy.config.units import Size
    from proxy.core.access import Role
    from proxy.core.digests import Sha256
    from proxy.core.names import GroupPath

BUILT_IN_PYPI: Final = {"url": "https://pypi.org/simple/"}
BUILT_IN_GROUPS: Final = {"default": {"id": 1}}
BUILT_IN_PROJECTS: Final = {"default/packages": {"id": 1}}

# What a top-level group has where it says nothing (`forwarding` is the instance's).
TOP_VISIBILITY: Final = Visibility.PUBLIC
TOP_UPSTREAMS: Final[tuple[str, ...]] = ("pypi",)
TOP_ALLOW: Final[tuple[NameRule, ...]] = ()
TOP_MIN_AGE: Final = Duration("0s")
TOP_MIN_AGE_EXEMPT: Final[tuple[Exemption, ...]] = ()


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Server:
    """`external_url` ends without a slash; `data_dir` is absolute once the config is loaded."""

    host: str = key(parse.host, "127.0.0.1")
    port: int = key(whole(0, 65535), 8181)
    workers: int = key(whole(1, 256), 1)
    data_dir: Path = computed(parse.path, lambda: user_data_path("pypi-sidecar", appauthor=False))
    external_url: str = key(parse.external_url, "")
    default_group: GroupPath = key(parse.group_path, "default")
    default_project: GroupPath = key(parse.project_path, "default/packages")
    max_upload_size: Size = key(parse.size, "3GiB")
    trusted_proxies: tuple[Network, ...] = key(list_of(parse.network), [])


@dataclass(frozen=True, slots=True)
class Access:
    """`anonymous` unset is a rule of its own, which asks the data directory and the request as well."""

    anonymous: Anonymous | None = unset(member(*Anonymous))


@dataclass(frozen=True, slots=True)
class Forwarding:
    enabled: bool = key(flag, True)
    locked: bool = key(flag, False)
    mode: ForwardingMode = key(member(*ForwardingMode), "stream")


@dataclass(frozen=True, slots=True)
class Cache:
    max_size: Size = key(parse.size, "50GiB")
    page_ttl: Duration = key(parse.duration, "10m")
    negative_ttl: Duration = key(parse.duration, "1m")
    stale_while_revalidate: Duration = key(parse.duration, "0s")
    stale_if_error: Duration = key(parse.duration, "30d")
    offline: bool = key(flag, False)

    @property
    def rules(self) -> CacheRules:
        return CacheRules(
            self.page_ttl, self.negative_ttl, self.stale_while_revalidate, self.stale_if_error, self.offline
        )


@dataclass(frozen=True, slots=True)
class Log:
    level: LogLevel = key(member(*LogLevel), "info")
    format: LogFormat = key(member(*LogFormat), "text")
    access: bool = key(flag, True)


@dataclass(frozen=True, slots=True)
class UpstreamTable:
    url: str = required(parse.index_url, "", 'a URL such as "https://pypi.example.org/simple/"')
    file_hosts: tuple[str, ...] = key(list_of(parse.file_host), [])
    username: str = key(parse.login, "")
    password_env: str | None = unset(parse.variable)
    ca_file: Path | None = unset(parse.path)
    connect_timeout: Duration = key(parse.timeout, "5s")
    page_timeout: Duration = key(parse.timeout, "8s")
    read_timeout: Duration = key(parse.timeout, "30s")
    max_connections: int = key(whole(1, 10_000), 100)


@dataclass(frozen=True, slots=True)
class _ExemptionTable:
    match: NameRule | None = unset(parse.rule)
    reason: str = key(parse.text, "")
    until: datetime | None = unset(parse.moment)


@dataclass(frozen=True, slots=True)
class _ProtectionTable:
    pattern: NamePattern | None = unset(parse.pattern)
    push: str | None = unset(parse.protecting_role)
    delete: str | None = unset(parse.protecting_role)


def _exemption(value: object) -> Exemption:
    if not isinstance(value, dict):
        return Exemption(parse.rule(value))
    table = nested(_ExemptionTable)(value)
    if table.match is None:
        raise Unfit.because('expected the key "match" with a name, a pattern or a specifier')
    return Exemption(table.match, table.reason, table.until)


def _protection(value: object) -> Protection:
    table = nested(_ProtectionTable)(value)
    if table.pattern is None or (table.push is None and table.delete is None):
        raise Unfit.because('expected the key "pattern", and "push" or "delete" or both')
    return Protection(table.pattern, table.push, table.delete)


@dataclass(frozen=True, slots=True)
class GroupTable:
    """A group as written: what is None is inherited."""

    id: int = required(parse.identifier, 0, "a whole number that no other group has")
    visibility: Visibility | None = unset(member(*Visibility))
    forwarding: bool | None = unset(flag)
    locked: bool = key(flag, False)
    upstreams: tuple[str, ...] | None = unset(list_of(parse.upstream_name))
    reserved: tuple[NamePattern, ...] = key(list_of(parse.pattern), [])
    allow: tuple[NameRule, ...] | None = unset(list_of(parse.rule))
    deny: tuple[NameRule, ...] = key(list_of(parse.rule), [])
    min_age: Duration | None = unset(parse.duration)
    min_age_exempt: tuple[Exemption, ...] | None = unset(list_of(_exemption))
    merge: tuple[NamePattern, ...] = key(list_of(parse.pattern), [])
    file_urls: FileUrls = key(member(*FileUrls), "relative")


@dataclass(frozen=True, slots=True)
class ProjectTable:
    id: int = required(parse.identifier, 0, "a whole number that no other project has")
    visibility: Visibility | None = unset(member(*Visibility))
    open_registry: bool = key(flag, False)
    duplicates: Duplicates = key(member(*Duplicates), "reject")
    protection: tuple[Protection, ...] = key(list_of(_protection), [])


@dataclass(frozen=True, slots=True)
class TokenTable:
    name: str = required(parse.label, "", "a name that no other token has")
    kind: Kind = key(member(Kind.PERSONAL, Kind.DEPLOY, Kind.JOB), "personal")
    username: str = key(parse.login, "")
    sha256: Sha256 | None = unset(parse.sha256)
    secret_env: str | None = unset(parse.variable)
    scopes: tuple[Scope, ...] = required(list_of(member(*Scope)), (), 'a list such as ["read_package_registry"]')
    access: Mapping[GroupPath, Role] = key(parse.grants, {})
    expires: datetime | None = unset(parse.moment)
