"""nginx as upstream, as a file server and as a cache: one config each, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Final

from tests.bench.processes import NotAvailable, Process, free_port

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_JSON: Final = "application/vnd.pypi.simple.v1+json"
_PROBE: Final = "/alive"


def nginx(folder: Path, http: str, server: str, *, cores: Collection[int], port: int | None = None) -> Process:
    """One worker, in the foreground. `http` and `server` are lines for these blocks."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/sbin:/bin")
    if program is None:
        raise NotAvailable("nginx is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    config = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # else its worker may not read this folder
    config.write_text(_CONFIG.format(folder=folder, http=http, server=server, port=port, probe=_PROBE, user=user))
    return Process([program, "-p", str(folder), "-c", str(config)], folder, port, _PROBE, cores=cores)


def static_lines(pages: Path, made: Path, recorded: Path) -> str:
    """Server lines for pages and files on disk; packed pages where there are some."""
    return f"""
        location /simple/ {{ alias {pages}/; index index.json; types {{}} default_type {_JSON}; gzip_static on; }}
        location /files/bench/ {{ alias {made}/; }}
        location /files/packages/ {{ alias {recorded}/packages/; }}"""


def cache_lines(folder: Path, upstream: str) -> tuple[str, str]:
    """http and server lines: pages and files kept for an hour, links turned to this server as they are sent."""
    http = f"proxy_cache_path {folder}/cache levels=1:2 keys_zone=pypi:10m max_size=5g inactive=1d use_temp_path=off;"
    server = f"""
        proxy_cache pypi;
        proxy_cache_valid 200 1h;
        proxy_cache_lock on;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location /simple/ {{
            proxy_pass {upstream};
            proxy_cache_key $uri$http_accept;
            proxy_set_header Accept-Encoding "";
            sub_filter "{upstream}/files/" "$scheme://$http_host/files/";
            sub_filter_types {_JSON};
            sub_filter_once off;
            gzip on;
            gzip_types {_JSON};
        }}
        location /files/ {{ proxy_pass {upstream}; proxy_cache_key $uri; }}"""
    return http, server


class Upstream:
    """The fake PyPI: light enough not to be the bottleneck, on the load's core, with a log of what it was asked.

    What crowds ask for comes at `SLOW` bytes a second, so that many clients meet in one download.
    """

    SLOW: Final = 4_000_000

    def __init__(self, folder: Path, pages: Path, made: Path, recorded: Path, *, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._asked = folder / "asked"
        http = "log_format asked '$request_method $request_uri';"
        server = (
            static_lines(pages, made, recorded)
            + f"""
        access_log {self._asked} asked;
        location ~ ^/files/bench/(bench_slow-.*)$ {{ alias {made}/$1; limit_rate {self.SLOW}; }}
        location ~ ^/simple/bench-crowd-[0-9]+/$ {{ rewrite ^/simple(.*)$ /crowd$1index.json last; }}
        location /crowd/ {{
            internal; alias {pages}/; types {{}} default_type {_JSON}; limit_rate {self.SLOW};
        }}"""
        )
        self._lines = (folder, http, server, port)

    def process(self, cores: Collection[int]) -> Process:
        folder, http, server, port = self._lines
        return nginx(folder, http, server, cores=cores, port=port)

    def gets(self, path: str) -> int:
        """How many GETs of this have ended so far, ranges included; `path` is how the whole path ends."""
        with contextlib.suppress(FileNotFoundError):
            return sum(
                line.startswith("GET ") and line.endswith(path) for line in self._asked.read_text().splitlines()
            )
        return 0


_CONFIG: Final = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    include /etc/nginx/mime.types;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    access_log off;
    sendfile on;
    keepalive_requests 100000000;
    open_file_cache max=1000;
    {http}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location = {probe} {{ return 204; }}
        {server}
    }}
}}
"""
