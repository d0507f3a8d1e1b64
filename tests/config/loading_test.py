"""Where the config comes from, and what its keys become."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from proxy.config import ConfigToken, load_config
from proxy.config.schema import LogFormat, LogLevel
from proxy.core.access import Anonymous, Kind, Role, Scope
from proxy.core.digests import sha256_of
from proxy.core.errors import InvalidConfig
from proxy.core.freshness import CacheRules
from proxy.core.names import GroupPath
from proxy.core.registry import Duplicates, FileUrls, ForwardingMode, Group, Project, Protection, Upstream, Visibility
from proxy.core.rules import Exemption, parse_name_pattern, parse_name_rule
from tests.config.samples import CERTIFICATE, NO_ENVIRON, TOKEN, group, load, project


def write(file: Path, port: int) -> Path:
    file.write_text(f"[server]\nport = {port}\n", encoding="utf-8")
    return file


def test_the_places_to_look_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(None, NO_ENVIRON).server.port == 8181
    write(tmp_path / "config.toml", 1)
    assert load_config(None, NO_ENVIRON).server.port == 1
    environ = {"PYPI_SIDECAR_CONFIG": str(write(tmp_path / "named.toml", 2))}
    assert load_config(None, environ).server.port == 2
    assert load_config(write(tmp_path / "given.toml", 3), environ).server.port == 3


def test_an_empty_variable_names_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(None, {"PYPI_SIDECAR_CONFIG": ""}).source is None


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_named_file_must_be_there(tmp_path: Path, *, by_variable: bool) -> None:
    missing = tmp_path / "missing.toml"
    with pytest.raises(InvalidConfig, match=r'missing.toml": cannot be read \(No such file'):
        load_config(None if by_variable else missing, {"PYPI_SIDECAR_CONFIG": str(missing)})


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_a_config_toml_that_cannot_be_read_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: object
) -> None:
    assert callable(make)
    make(tmp_path / "config.toml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidConfig, match="cannot be read"):
        load_config(None, NO_ENVIRON)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[server\nport = 1", "line 1"),
        (b"[server]\nport = 1\nport = 2", "line 3"),
        (b"[server]\nport =", "line 2"),
        (b'[server]\nhost = "\xff"', "not UTF-8 at byte 17"),
        (b"x = " + b"1" * 5000, "not valid TOML"),
    ],
)
def test_what_is_no_toml(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(content)
    with pytest.raises(InvalidConfig) as raised:
        load_config(file, NO_ENVIRON)
    (fault,) = raised.value.faults
    assert fault.startswith(f'"{file}": not ')
    assert words in fault


def test_the_command_line_stands_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path / "config.toml", 1)
    assert load_config(file, NO_ENVIRON, server={"port": 5, "host": "::1"}).server.port == 5
    with pytest.raises(InvalidConfig, match=r"server\.port: expected"):
        load_config(file, NO_ENVIRON, server={"port": 99999})


def test_defaults_are_those_of_the_values(tmp_path: Path) -> None:
    config = load(tmp_path, "")
    assert config.cache.rules == CacheRules()
    assert config.registry.groups == (Group(1, GroupPath("default")),)
    assert config.registry.projects == (Project(1, GroupPath("default/packages"), GroupPath("default")),)
    pypi = Upstream("pypi", "https://pypi.org/simple/", file_hosts=("files.pythonhosted.org",))
    assert config.registry.upstreams == {"pypi": pypi}


def test_server(tmp_path: Path) -> None:
    server = load(
        tmp_path,
        """
        [server]
        host = "::"
        port = 0
        workers = 4
        data_dir = "data"
        external_url = "https://pypi.example.org/sub/"
        default_group = "acme"
        default_project = "acme/ml/packages"
        max_upload_size = "1MiB"
        trusted_proxies = ["10.0.0.0/8", "::1"]
        """,
    ).server
    assert (server.host, server.port, server.workers) == ("::", 0, 4)
    assert server.data_dir == tmp_path / "data"
    assert server.external_url == "https://pypi.example.org/sub"
    assert (server.default_group, server.default_project) == ("acme", "acme/ml/packages")
    assert server.max_upload_size == 2**20
    assert server.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1"))


def test_the_home_directory_may_be_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load(tmp_path, '[server]\ndata_dir = "~/index"').server.data_dir == tmp_path / "index"


def test_relative_paths_begin_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "ca.pem").write_text(CERTIFICATE, encoding="utf-8")
    file = tmp_path / "etc" / "config.toml"
    file.write_text('[server]\ndata_dir = "data"\n[upstreams.pypi]\nca_file = "ca.pem"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    config = load_config(Path("etc/config.toml"), NO_ENVIRON)
    assert config.server.data_dir == tmp_path / "etc" / "data"
    assert config.registry.upstreams["pypi"].ca_file == str(tmp_path / "etc" / "ca.pem")


def test_access_forwarding_cache_and_log(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        [access]
        anonymous = "read"
        [forwarding]
        mode = "redirect"
        [cache]
        max_size = "1kB"
        page_ttl = "1s"
        negative_ttl = "2m"
        stale_while_revalidate = "3h"
        stale_if_error = "4w"
        offline = true
        [log]
        level = "debug"
        format = "json"
        access = false
        """,
    )
    assert config.access.anonymous is Anonymous.READ
    assert config.forwarding.mode is ForwardingMode.REDIRECT
    assert config.cache.max_size == 1000
    assert config.cache.rules == CacheRules(
        timedelta(seconds=1), timedelta(minutes=2), timedelta(hours=3), timedelta(weeks=4), offline=True
    )
    assert (config.log.level, config.log.format, config.log.access) == (LogLevel.DEBUG, LogFormat.JSON, False)


def test_an_upstream(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(CERTIFICATE, encoding="utf-8")
    config = load(
        tmp_path,
        """
        [upstreams.corp]
        url = "HTTPS://PyPI.Corp.example:8443/simple"
        file_hosts = ["Files.corp.example", "cdn.corp.example:444", "[::1]:80"]
        username = "me"
        password_env = "CORP"
        ca_file = "ca.pem"
        connect_timeout = "1s"
        page_timeout = "2s"
        read_timeout = "3s"
        max_connections = 4
        """,
        {"CORP": "secret"},
    )
    assert config.registry.upstreams["corp"] == Upstream(
        name="corp",
        url="https://pypi.corp.example:8443/simple/",
        file_hosts=("files.corp.example", "cdn.corp.example:444", "[::1]:80"),
        username="me",
        password="secret",
        ca_file=str(tmp_path / "ca.pem"),
        connect_timeout=timedelta(seconds=1),
        page_timeout=timedelta(seconds=2),
        read_timeout=timedelta(seconds=3),
        max_connections=4,
    )
    assert "pypi" in config.registry.upstreams
    assert "secret" not in repr(config)


def test_the_built_in_upstream_changes_key_by_key(tmp_path: Path) -> None:
    text = '[upstreams.pypi]\nmax_connections = 5\nfile_hosts = ["files.pythonhosted.org", "a.example"]'
    pypi = load(tmp_path, text).registry.upstreams["pypi"]
    assert pypi.url == "https://pypi.org/simple/"
    assert pypi.file_hosts == ("files.pythonhosted.org", "a.example")
    mirror = load(tmp_path, '[upstreams.pypi]\nurl = "https://mirror.example/pypi"').registry.upstreams["pypi"]
    assert (mirror.url, mirror.file_hosts) == ("https://mirror.example/pypi/", ())


def test_a_group_and_its_projects(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        [groups.acme]
        id = 7
        visibility = "private"
        forwarding = false
        upstreams = []
        reserved = ["Acme_*"]
        allow = ["numpy", "requests<3"]
        deny = ["left-pad"]
        min_age = "7d"
        min_age_exempt = ["numpy==2.0", {match = "six", reason = "ours", until = 2030-01-31}]
        merge = ["torch"]
        file_urls = "upstream"
        [projects."acme/tools"]
        id = 3
        open_registry = true
        duplicates = "identical"
        protection = [{pattern = "acme-*", push = "maintainer"}, {pattern = "*", delete = "admin"}]
        """,
    )
    assert group(config, "7") == Group(
        id=7,
        path=GroupPath("acme"),
        visibility=Visibility.PRIVATE,
        forwarding=False,
        upstreams=(),
        reserved=(parse_name_pattern("Acme_*"),),
        allow=(parse_name_rule("numpy"), parse_name_rule("requests<3")),
        deny=(parse_name_rule("left-pad"),),
        min_age=timedelta(days=7),
        min_age_exempt=(
            Exemption(parse_name_rule("numpy==2.0")),
            Exemption(parse_name_rule("six"), "ours", datetime(2030, 1, 31, tzinfo=UTC)),
        ),
        merge=(parse_name_pattern("torch"),),
        file_urls=FileUrls.UPSTREAM,
    )
    assert str(group(config, "acme").min_age) == "7d"
    assert project(config, "acme/tools") == Project(
        id=3,
        path=GroupPath("acme/tools"),
        group=GroupPath("acme"),
        visibility=Visibility.PRIVATE,
        open_registry=True,
        duplicates=Duplicates.IDENTICAL,
        protection=(
            Protection(parse_name_pattern("acme-*"), push="maintainer"),
            Protection(parse_name_pattern("*"), delete="admin"),
        ),
    )


def test_groups_take_the_place_of_the_built_in_ones(tmp_path: Path) -> None:
    config = load(tmp_path, '[groups.acme]\nid = 1\n[projects."acme/x"]\nid = 1\n')
    assert config.registry.find_group("default") is None
    assert config.registry.find_project("default/packages") is None
    assert config.server.default_group == "default"


def test_projects_alone_are_in_the_built_in_group(tmp_path: Path) -> None:
    config = load(tmp_path, '[projects."default/x"]\nid = 1\nduplicates = "identical"\n')
    assert [each.path for each in config.registry.projects] == ["default/x"]
    assert project(config, "1").group == "default"


def test_tokens(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        TOKEN
        + """
        [[tokens]]
        name = "deployer"
        kind = "deploy"
        username = "gitlab+deploy"
        secret_env = "SECRET"
        scopes = ["read_package_registry", "write_package_registry"]
        access = {"default" = "guest", "default/packages" = "developer"}
        expires = 2030-01-31T12:00:00+02:00
        """,
        {"SECRET": "pässword"},
    )
    ci, deployer = config.tokens
    assert (ci.kind, ci.access, ci.expires) == (Kind.PERSONAL, {}, None)
    assert deployer == ConfigToken(
        name="deployer",
        kind=Kind.DEPLOY,
        username="gitlab+deploy",
        sha256=sha256_of("pässword".encode()),
        scopes=frozenset({Scope.READ_PACKAGE_REGISTRY, Scope.WRITE_PACKAGE_REGISTRY}),
        access={GroupPath("default"): Role.GUEST, GroupPath("default/packages"): Role.DEVELOPER},
        expires=datetime(2030, 1, 31, 10, tzinfo=UTC),
    )


@pytest.mark.parametrize("written", ["2030-01-31T00:00:00Z", "2030-01-31T00:00:00", "2030-01-31"])
def test_times_are_utc_unless_they_say_otherwise(tmp_path: Path, written: str) -> None:
    (token,) = load(tmp_path, f"{TOKEN}expires = {written}\n").tokens
    assert token.expires == datetime(2030, 1, 31, tzinfo=UTC)
