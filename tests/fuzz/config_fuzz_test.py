"""The law of the config: any document is a config, or refused with a fault a line."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from proxy.config import load_config
from proxy.core.errors import InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

tables = st.sampled_from(
    [
        *("server", "access", "forwarding", "cache", "log", "upstreams.pypi", "upstreams.other", 'groups."default"'),
        *(
            'groups."acme/ml"',
            'projects."default/packages"',
            'projects."acme/x"',
            "nonsense",
            "[tokens]",
            "[publishers]",
        ),
    ]
)
keys = st.sampled_from(
    [
        *(
            "host",
            "port",
            "workers",
            "data_dir",
            "external_url",
            "default_group",
            "max_upload_size",
            "trusted_proxies",
        ),
        *("anonymous", "enabled", "locked", "mode", "url", "file_hosts", "username", "password_env", "ca_file"),
        *("connect_timeout", "page_timeout", "max_connections", "max_size", "page_ttl", "negative_ttl", "offline"),
        *("id", "visibility", "forwarding", "upstreams", "reserved", "allow", "deny", "min_age", "min_age_exempt"),
        *(
            "merge",
            "file_urls",
            "open_registry",
            "duplicates",
            "protection",
            "name",
            "kind",
            "sha256",
            "scopes",
            "access",
        ),
        *("expires", "level", "format", "x"),
    ]
)
scalars = st.sampled_from(
    [
        *(
            '""',
            '"127.0.0.1"',
            '"0.0.0.0"',
            '"10GiB"',
            '"-1B"',
            '"7d"',
            '"9999999999d"',
            '"http://x"',
            '"https://[::1"',
        ),
        *(
            '"file:///etc/passwd"',
            '"http://a:b@c/"',
            '"*"',
            '"demo<2"',
            '"demo=="',
            '"default"',
            '"acme/ml"',
            '"../x"',
        ),
        *(
            '"read"',
            '"private"',
            '"stream"',
            '"redirect"',
            '"identical"',
            '"\\u0000"',
            "true",
            "false",
            "0",
            "1",
            "-1",
        ),
        *("99999999999999999999", "1.5", "nan", "inf", "2030-01-31T00:00:00Z", "2030-01-31", "12:00:00"),
    ]
)
values = st.one_of(
    scalars,
    st.lists(scalars, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
    st.builds("{{ match = {}, pattern = {}, until = {} }}".format, scalars, scalars, scalars),
    st.builds("[{{ match = {}, reason = {}, until = {} }}]".format, scalars, scalars, scalars),
)
lines = st.one_of(tables.map("[{}]".format), st.builds("{} = {}".format, keys, values))


@given(st.lists(lines, max_size=14) | st.lists(st.text(max_size=30), max_size=5))
def test_any_document_is_a_config_or_refused(document: list[str]) -> None:
    with TemporaryDirectory() as directory:
        file = Path(directory) / "config.toml"
        file.write_bytes("\n".join(document).encode(errors="surrogatepass"))
        for fault in faults_of(file):
            assert fault.isprintable()


def faults_of(file: Path) -> Sequence[str]:
    try:
        load_config(file, {}, server={"data_dir": str(file.parent)})
    except InvalidConfig as error:
        return error.faults
    return ()
