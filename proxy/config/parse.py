"""Parsers of the field's own values: times, names, rules, addresses. No message shows what may hold a secret."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final, TypeAlias

from yarl import URL

from proxy.config.faults import Unfit
from proxy.config.shapes import Parser, map_of, secretive, spelled, whole, word
from proxy.config.units import DURATION_UNITS, SIZE_UNITS, Duration, Size
from proxy.core.access import Role
from proxy.core.digests import Sha256, parse_sha256
from proxy.core.names import GroupPath, parse_group_path
from proxy.core.rules import parse_name_pattern, parse_name_rule

Network: TypeAlias = IPv4Network | IPv6Network

MAX_ID: Final = 2**31 - 1
_HOST_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_UPSTREAM_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


# Plain values.


def moment(value: object) -> datetime:
    """A TOML date-time or date, in UTC unless it says otherwise."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time.min, UTC)
    raise Unfit.unlike("a date-time without quotes, such as 2030-01-31T00:00:00Z", value)


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError(text)
    return text


def _label(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    return _one_line(text)


def _login(text: str) -> str:
    if ":" in text:  # RFC 7617 section 2: the first colon ends it
        raise ValueError(text)
    return _one_line(text)


def _path(text: str) -> Path:
    try:
        return Path(_label(text)).expanduser()
    except RuntimeError as error:
        raise ValueError(text) from error


def _variable(text: str) -> str:
    if not _VARIABLE.fullmatch(text):
        raise ValueError(text)
    return text


def _positive(text: str) -> Duration:
    duration = Duration(text)
    if not duration:
        raise ValueError(text)
    return duration


_SIZES = f'a size such as "50GiB" ({", ".join(SIZE_UNITS)})'
_DURATIONS = f'"10m" or "7d" ({", ".join(DURATION_UNITS)}; at most 36500d)'

text: Final = spelled("text on one line", _one_line)
label: Final = spelled("a name on one line", _label)
login: Final = spelled("a user name without a colon", _login, stand_in="unfit")
path: Final = spelled("a path", _path)
variable: Final = secretive("the name of an environment variable", _variable, stand_in="")
sha256: Final = secretive("the 64 hexadecimal digits of a sha256", parse_sha256, stand_in=Sha256(""))
size: Final = spelled(_SIZES, Size)
duration: Final = spelled(f"a duration such as {_DURATIONS}", Duration)
timeout: Final = spelled(f"a duration over zero such as {_DURATIONS}", _positive)


# Names, paths and rules.


def _group_path(text: str) -> GroupPath:
    if text.isascii() and text.isdigit():
        raise Unfit.because("a path of digits would be taken for an id; expected a letter in it")
    return parse_group_path(text)


def _project_path(text: str) -> GroupPath:
    if "/" not in text:
        raise ValueError(text)
    return parse_group_path(text)


def _upstream_name(text: str) -> str:
    if not _UPSTREAM_NAME.fullmatch(text):
        raise ValueError(text)
    return text


identifier: Final = whole(1, MAX_ID)
group_path: Final = spelled('the path of a group, such as "acme" or "acme/ml"', _group_path)
project_path: Final = spelled('the path of a project, such as "acme/packages"', _project_path)
any_path: Final = spelled('the path of a group or project, such as "acme" or "acme/packages"', parse_group_path)
upstream_name: Final = spelled('a name of letters, digits, "-" and "_", at most 64', _upstream_name)
pattern: Final = spelled('a name or a pattern such as "acme-*"', parse_name_pattern)
rule: Final = spelled('a name, a pattern such as "acme-*" or a specifier such as "requests<2.32"', parse_name_rule)
role: Final = word({role.name.lower(): role for role in Role}, stand_in=Role.GUEST)
protecting_role: Final = word({name: name for name in ("maintainer", "owner", "admin")})
grants: Final = map_of(any_path, role)


# The network.


def _host_name(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        if not _HOST_NAME.fullmatch(text):
            raise
        return text


def _file_host(text: str) -> str:
    """Lower case, with the port only where it is written: a missing one means the upstream's scheme's own."""
    url = URL(f"http://{text}")
    if url.user is not None or url.raw_path_qs != "/" or "#" in text or url.raw_host is None:
        raise ValueError(text)
    name = _host_name(url.raw_host).lower()
    name = f"[{name}]" if ":" in name else name
    return name if url.explicit_port is None else f"{name}:{url.explicit_port}"


def _http_url(text: str) -> URL:
    try:
        url = URL(text)
        _host_name(url.raw_host or "")
    except ValueError as error:
        raise Unfit.because(_URL_EXPECTED) from error
    if url.user is not None or url.password is not None:
        raise Unfit.because("a URL must not hold a user name or password; an upstream has username and password_env")
    if url.scheme not in ("http", "https") or "?" in text or "#" in text:
        raise Unfit.because(_URL_EXPECTED)
    return url


def _index_url(text: str) -> str:
    url = str(_http_url(text))
    return url if url.endswith("/") else f"{url}/"


def _external_url(text: str) -> str:
    return str(_http_url(text)).rstrip("/") if text else ""


_URL_EXPECTED = 'expected a URL such as "https://pypi.example.org/simple/": http or https, a host, no "?" and no "#"'

host: Final = spelled("an IP address or a host name, without a port", _host_name)
file_host: Final = spelled('"host" or "host:port"', _file_host)
network: Final[Parser[Network]] = spelled('an IP address or a network such as "10.0.0.0/8"', ip_network)
index_url: Final = spelled("a URL", _index_url)
external_url: Final = spelled("a URL", _external_url)
