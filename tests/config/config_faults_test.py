"""Every fault is told, by its key, with what is expected; one never hides another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.config.check import check
from proxy.config.read import read_tables
from tests.config.samples import GROUPS, TOKEN, faults, load

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = '[projects."default/x"]\nid = 1\n'

NESTED_IN_PRIVATE = """
[groups.a]
id = 1
visibility = "private"
[groups."a/b"]
id = 2
[groups."a/b/c"]
id = 3
visibility = "public"
[projects."a/b/c/x"]
id = 1
visibility = "private"
"""

ALONE = [
    # unknown tables and keys
    ("[servr]", 'servr: unknown table; did you mean "server"?'),
    ("zzz = 1", 'zzz: unknown table; expected "access", "cache", "forwarding",'),
    ("[server]\nprot = 1", 'server.prot: unknown key; did you mean "port"?'),
    ("[access]\nzzz = 1", 'access.zzz: unknown key; expected "anonymous"'),
    ('[server]\n"a b" = 1', 'server."a b": unknown key; expected "host", "port",'),
    ('[upstreams.pypi]\npassword = "x"', 'upstreams.pypi.password: unknown key; did you mean "password_env"?'),
    ('[[publishers]]\nissuer = "x"', "publishers: trusted publishing is not available yet"),
    # wrong types
    ("server = 1", "server: expected a table, got 1"),
    ("groups = []", "groups: expected a table of tables, got a list"),
    ("[tokens]", "tokens: expected an array of tables ([[tokens]]), got a table"),
    ("tokens = [1]", "tokens[0]: expected a table, got 1"),
    ("[upstreams]\npypi = 1", "upstreams.pypi: expected a table, got 1"),
    ("[server]\nhost = 1", "server.host: expected an IP address or a host name, without a port, got 1"),
    ('[server]\nport = "8181"', 'server.port: expected a whole number from 0 to 65535, got "8181"'),
    ("[server]\nport = true", "server.port: expected a whole number from 0 to 65535, got true"),
    ("[server]\nport = 1.5", "server.port: expected a whole number from 0 to 65535, got 1.5"),
    ('[forwarding]\nenabled = "yes"', 'forwarding.enabled: expected true or false, got "yes"'),
    ('[server]\ntrusted_proxies = "::1"', 'server.trusted_proxies: expected a list, got "::1"'),
    # numbers, sizes, durations
    ("[server]\nport = -1", "server.port: expected a whole number from 0 to 65535, got -1"),
    ("[server]\nport = 65536", "server.port: expected"),
    ("[server]\nworkers = 0", "server.workers: expected a whole number from 1"),
    ("[upstreams.pypi]\nmax_connections = 0", "upstreams.pypi.max_connections: expected"),
    ('[cache]\nmax_size = "50 gigs"', 'cache.max_size: expected a size such as "50GiB" (B, KiB,'),
    ("[cache]\nmax_size = 5", 'cache.max_size: expected a size such as "50GiB"'),
    ('[cache]\npage_ttl = "-1s"', 'cache.page_ttl: expected a duration such as "10m" or "7d" (s, m, h, d, w;'),
    ('[cache]\nstale_if_error = "99999999w"', "cache.stale_if_error: expected a duration"),
    ('[upstreams.pypi]\nread_timeout = "0s"', "upstreams.pypi.read_timeout: expected a duration over zero"),
    # words
    ('[access]\nanonymous = "all"', 'access.anonymous: expected "none", "read" or "publish", got "all"'),
    ('[forwarding]\nmode = "Stream"', 'forwarding.mode: expected "stream" or "redirect", got "Stream"'),
    ('[log]\nlevel = "loud"', 'log.level: expected "debug", "info", "warning" or "error", got "loud"'),
    ('[log]\nformat = "xml"', 'log.format: expected "text" or "json", got "xml"'),
    # addresses, names and paths
    ('[server]\nhost = "127.0.0.1:80"', "server.host: expected an IP address or a host name, without a port"),
    ('[server]\nhost = ""', "server.host: expected"),
    ('[server]\nhost = "http://x"', "server.host: expected"),
    ('[server]\ndata_dir = ""', "server.data_dir: expected a path"),
    ('[server]\ndata_dir = "~nobody-here/x"', "server.data_dir: expected a path"),
    ('[server]\ndata_dir = "a\\u0000b"', "server.data_dir: expected a path"),
    ('[server]\ndefault_group = "a b"', "server.default_group: expected the path of a group"),
    ('[server]\ndefault_group = "12"', "server.default_group: a path of digits would be taken for an id"),
    ('[server]\ndefault_project = "packages"', "server.default_project: expected the path of a project"),
    ('[server]\ntrusted_proxies = ["10.0.0.1/8"]', "server.trusted_proxies[0]: expected an IP address or a network"),
    ('[upstreams."a b"]\nurl = "https://x/"', 'upstreams."a b": expected a name of letters'),
    ('[upstreams.pypi]\nfile_hosts = ["https://x"]', 'upstreams.pypi.file_hosts[0]: expected "host" or "host:port"'),
    ('[upstreams.pypi]\nfile_hosts = ["x/y"]', "upstreams.pypi.file_hosts[0]: expected"),
    ('[upstreams.pypi]\nfile_hosts = ["x:99999"]', "upstreams.pypi.file_hosts[0]: expected"),
    ('[upstreams.pypi]\nfile_hosts = ["u@x"]', "upstreams.pypi.file_hosts[0]: expected"),
    ('[upstreams.pypi]\nusername = "a:b"', "upstreams.pypi.username: expected a user name without a colon"),
    # URLs
    ('[upstreams.pypi]\nurl = "ftp://x/"', "upstreams.pypi.url: expected a URL such as"),
    ('[upstreams.pypi]\nurl = "pypi.org/simple"', "upstreams.pypi.url: expected a URL such as"),
    ('[upstreams.pypi]\nurl = "https:///simple"', "upstreams.pypi.url: expected a URL such as"),
    ('[upstreams.pypi]\nurl = "https://x y/"', "upstreams.pypi.url: expected a URL such as"),
    ('[upstreams.pypi]\nurl = "https://x:99999/"', "upstreams.pypi.url: expected a URL such as"),
    ('[upstreams.pypi]\nurl = "https://x/?a=b"', "upstreams.pypi.url: expected a URL such as"),
    ("[upstreams.pypi]\nurl = 1", "upstreams.pypi.url: expected a URL, got 1"),
    ("[upstreams.corp]", "upstreams.corp.url: is missing; expected a URL such as"),
    ('[server]\nexternal_url = "x"', "server.external_url: expected a URL such as"),
    # the environment and files
    (
        '[upstreams.pypi]\nusername = "x"\npassword_env = "NOT_SET"',
        "upstreams.pypi.password_env: the environment variable NOT_SET is not set",
    ),
    (
        '[upstreams.pypi]\nusername = "x"\npassword_env = "EMPTY"',
        "upstreams.pypi.password_env: the environment variable EMPTY is not set",
    ),
    ('[upstreams.pypi]\npassword_env = "SET"', "upstreams.pypi.username: is missing"),
    ('[upstreams.pypi]\nca_file = "missing.pem"', "upstreams.pypi.ca_file: "),
    ('[upstreams.pypi]\nca_file = "config.toml"', "upstreams.pypi.ca_file: "),
    # groups and projects
    ('[projects."default/x"]', 'projects."default/x".id: is missing; expected a whole number'),
    ('[projects."default/x"]\nid = 0', 'projects."default/x".id: expected a whole number from 1'),
    (PROJECT + '[projects."default/y/"]\nid = 2', 'projects."default/y/": expected the path of a project'),
    (
        PROJECT + '[projects."defalt/x"]\nid = 2',
        'projects."defalt/x": unknown group "defalt"; did you mean "default"?',
    ),
    (
        '[projects."default/x"]\nid = 1\n[projects."default/y"]\nid = 1',
        'projects."default/y".id: projects."default/x" has the same; expected one of its own',
    ),
    (PROJECT + "[groups.default]", 'groups."default".id: is missing; expected a whole number'),
    (GROUPS + '[groups."12"]\nid = 3', 'groups."12": a path of digits would be taken for an id'),
    (
        GROUPS + '[groups."b"]\nid = 3',
        'groups."b": no project is in it; expected one, such as [projects."b/packages"]',
    ),
    (
        GROUPS + '[groups.b]\nid = 2\n[projects."b/x"]\nid = 2',
        'groups."b".id: groups."acme/ml" has the same; expected one of its own',
    ),
    (
        GROUPS + '[groups."b/c"]\nid = 3\n[projects."b/c/x"]\nid = 2',
        'groups."b/c": its parent is not a group here; expected a table [groups."b"]',
    ),
    (GROUPS + '[projects."acme/ml"]\nid = 2', 'projects."acme/ml": a group has this path too'),
    (
        GROUPS + '[groups.b]\nid = 3\nupstreams = ["pypl"]\n[projects."b/x"]\nid = 2',
        'groups."b".upstreams: unknown upstream "pypl"; did you mean "pypi"?',
    ),
    ('[groups.a]\nid = 1\nreserved = ["a b"]\n[projects."a/x"]\nid = 1', 'groups."a".reserved[0]: expected a name or'),
    (
        '[groups.a]\nid = 1\ndeny = ["x", "y[z]<1"]\n[projects."a/x"]\nid = 1',
        'groups."a".deny[1]: expected a name, a pattern',
    ),
    (
        '[groups.a]\nid = 1\nmin_age_exempt = [{reason = "x"}]\n[projects."a/x"]\nid = 1',
        'groups."a".min_age_exempt[0]: expected the key "match"',
    ),
    (
        '[groups.a]\nid = 1\nmin_age_exempt = [{match = "x", untill = 2030-01-01}]\n[projects."a/x"]\nid = 1',
        'groups."a".min_age_exempt[0].untill: unknown key; did you mean "until"?',
    ),
    ('[projects."default/x"]\nid = 1\nprotection = [{pattern = "x"}]', 'projects."default/x".protection[0]: expected'),
    (
        '[projects."default/x"]\nid = 1\nprotection = [{pattern = "x", push = "developer"}]',
        'projects."default/x".protection[0].push: expected "maintainer", "owner" or "admin", got "developer"',
    ),
    # visibility
    (
        '[groups.a]\nid = 1\nvisibility = "private"\n[projects."a/x"]\nid = 1\nvisibility = "public"',
        'projects."a/x".visibility: "public" is more visible than its group (groups."a".visibility)',
    ),
    (
        NESTED_IN_PRIVATE,
        'groups."a/b/c".visibility: "public" is more visible than its group (groups."a".visibility)',
    ),
    # tokens
    (TOKEN.replace('name = "ci"', ""), "tokens[0].name: is missing"),
    (TOKEN.replace('scopes = ["api"]', ""), "tokens[0].scopes: is missing"),
    (TOKEN.replace("api", "write_registry"), "tokens[0].scopes[0]: expected"),
    (TOKEN + 'kind = "anonymous"', 'tokens[0].kind: expected "personal", "deploy" or "job", got "anonymous"'),
    (TOKEN + 'access = {default = "boss"}', 'tokens[0].access."default": expected "guest", "reporter",'),
    (TOKEN + 'access = {defalt = "guest"}', 'tokens[0].access."defalt": unknown path; did you mean "default"?'),
    (TOKEN + 'access = ["default"]', "tokens[0].access: expected a table, got a list"),
    (TOKEN + 'expires = "2030-01-01"', "tokens[0].expires: expected a date-time without quotes"),
    ('[[tokens]]\nname = "x"\nscopes = []', "tokens[0]: has no secret; expected either sha256 or secret_env"),
    (TOKEN + 'secret_env = "SET"', "tokens[0]: has two secrets; expected either sha256 or secret_env"),
    (
        '[[tokens]]\nname = "x"\nscopes = []\nsecret_env = "NOT_SET"',
        "tokens[0].secret_env: the environment variable NOT_SET is not set",
    ),
    (TOKEN + TOKEN.replace("9f", "00"), "tokens[1].name: tokens[0] has the same"),
    (TOKEN + TOKEN.replace("ci", "cd"), "tokens[1].sha256: tokens[0] has the same"),
    (
        TOKEN + '[[tokens]]\nname = "x"\nscopes = []\nsecret_env = "SET"',
        "tokens[1].secret_env: tokens[0] has the same",
    ),
]


@pytest.mark.parametrize(("text", "told"), ALONE)
def test_a_fault_is_told_alone_with_its_key(tmp_path: Path, text: str, told: str) -> None:
    (fault,) = faults(tmp_path, text, {"SET": "test", "EMPTY": ""})
    assert fault.startswith(told)


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        ('min_age = "1d"', "min_age"),
        ('merge = ["torch"]', "merge"),
        ('allow = ["requests<3"]', "allow"),
        ('deny = ["left-pad", "requests>=3"]', "deny"),
    ],
)
def test_a_redirect_cannot_keep_rules_on_files(tmp_path: Path, rule: str, key: str) -> None:
    text = f'[groups.a]\nid = 1\n{rule}\n[projects."a/x"]\nid = 1\n[forwarding]\nmode = '
    load(tmp_path, text + '"stream"')
    (fault,) = faults(tmp_path, text + '"redirect"')
    assert fault.startswith(f'groups."a".{key}: cannot be kept by a redirect; expected forwarding.mode = "stream"')


def test_a_redirect_can_keep_rules_on_names(tmp_path: Path) -> None:
    rules = 'min_age = "0s"\nreserved = ["acme-*"]\nallow = ["numpy"]\ndeny = ["left-pad"]\nmerge = []'
    load(tmp_path, f'[groups.a]\nid = 1\n{rules}\n[projects."a/x"]\nid = 1\n[forwarding]\nmode = "redirect"')


MANY = """
servr = 1
[server]
port = 70000
prot = 1
[upstreams.corp]
username = "a:b"
password_env = "NOT_SET"
[groups.acme]
visibility = "private"
upstreams = [1, "pipy"]
deny = ["a b", "requests<3"]
[groups."acme/ml"]
id = 1
visibility = "public"
[groups."b/c"]
id = 1
[forwarding]
mode = "redirect"
[projects."acm/x"]
id = 1
[[tokens]]
sha256 = "glpat-secret"
secret_env = "NOT_SET"
[[tokens]]
name = "x"
scopes = ["apo"]
access = {acne = "boss"}
"""


def test_one_fault_hides_no_other_and_makes_up_none(tmp_path: Path) -> None:
    found = [fault.split(": ", 1)[0] for fault in faults(tmp_path, MANY)]
    assert found == [
        "servr",
        "server.port",
        "server.prot",
        "upstreams.corp.username",
        "upstreams.corp.url",
        'groups."acme".upstreams[0]',
        'groups."acme".deny[0]',
        'groups."acme".id',
        "tokens[0].sha256",
        "tokens[0].name",
        "tokens[0].scopes",
        "tokens[1].scopes[0]",
        'tokens[1].access."acne"',
        "upstreams.corp.password_env",
        'groups."acme/ml".visibility',
        'groups."b/c"',
        'groups."acme".upstreams',
        'groups."acme".deny',
        'groups."acme"',
        'groups."acme/ml"',
        'groups."b/c"',
        'projects."acm/x"',
        'groups."b/c".id',
        "tokens[0]",
        "tokens[0].secret_env",
        "tokens[1]",
        'tokens[1].access."acne"',
    ]


def test_tokens_keep_their_places_behind_what_is_none(tmp_path: Path) -> None:
    first, second = faults(tmp_path, 'tokens = [1, {name = "x", scopes = []}]')
    assert first.startswith("tokens[0]: expected a table")
    assert second.startswith("tokens[1]: has no secret")


@pytest.mark.parametrize(
    "text",
    [
        '[upstreams.pypi]\nurl = "https://me:hunter2@pypi.org/simple/"',
        '[upstreams.pypi]\nurl = "https://hunter2@pypi.org/simple/"',
        '[upstreams.pypi]\nurl = "ftp://me:hunter2@pypi.org/"',
        '[upstreams.pypi]\nurl = "https://me:hunter2@pypi.org:port/"',
        '[upstreams.pypi]\nurl = "me:hunter2@pypi.org"',
        '[upstreams.pypi]\nurl = "https://pypi.org/simple/?token=hunter2"',
        '[server]\nexternal_url = "https://me:hunter2@pypi.example.org"',
        '[upstreams.pypi]\nusername = "me"\npassword_env = "hunter2!"',
        '[upstreams.pypi]\nusername = "me"\npassword = "hunter2"',
        TOKEN.replace("9f86", "hunter2"),
        TOKEN + 'secret = "hunter2"',
        '[[tokens]]\nname = "x"\nscopes = []\nsecret_env = "hunter-2"',
    ],
)
def test_no_fault_shows_what_may_be_a_secret(tmp_path: Path, text: str) -> None:
    (fault,) = faults(tmp_path, text)
    assert "hunter" not in fault


@pytest.mark.parametrize("url", ["https://me:pw@pypi.org/simple/", "https://me@pypi.org/", "ftp://me:pw@pypi.org/"])
def test_a_url_with_credentials_is_told_where_they_belong(tmp_path: Path, url: str) -> None:
    (fault,) = faults(tmp_path, f'[upstreams.pypi]\nurl = "{url}"')
    assert "username and password_env" in fault


TOML_VALUES = st.recursive(
    st.none().map(lambda _: "")
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.sampled_from(["7d", "1GiB", "acme", "acme/ml", "https://x/", "requests<2", "private", "public", "NOT_SET"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["id", "url", "visibility", "upstreams", "deny", "min_age_exempt", "protection", "match", "access", "secret_env"]
)
TABLES = st.dictionaries(KEYS | st.text(max_size=5), TOML_VALUES, max_size=5)
NAMES = st.sampled_from(
    ["server", "access", "forwarding", "upstreams", "cache", "groups", "projects", "tokens", "log"]
)
ENTRIES = st.dictionaries(st.sampled_from(["pypi", "acme", "acme/ml", "acme/ml/x", "12", ""]), TABLES, max_size=4)


@given(st.dictionaries(NAMES | st.text(max_size=5), TABLES | ENTRIES | st.lists(TABLES, max_size=3) | TOML_VALUES))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_document_is_read_to_its_end(tmp_path: Path, document: dict[str, object]) -> None:
    tables, found = read_tables(document)
    for fault in [*found, *check(tables, {}, tmp_path)]:
        assert fault.place
        assert "\n" not in str(fault)
