"""The product and its peers: how each is started before the same upstream, and where it has its pages.

A server says what it is for: `caches` fetch from the upstream, the others only serve what lies there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple
from urllib.parse import urljoin

from tests.bench.cores import SERVER
from tests.bench.nginx import cache_lines, nginx, static_lines
from tests.bench.processes import NotAvailable, Process, free_port
from tests.e2e.harness import PROGRAM
from tests.e2e.wire import JSON, ask

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tests.bench.peers import Peers

SECRET: Final = "a secret of the bench's own"
_APPS: Final = Path(__file__).parent / "apps"


class Place(NamedTuple):
    """What servers are started over. `pages` link to the upstream's files in none of its absolute names."""

    upstream: str
    pages: Path
    made: Path
    recorded: Path
    peers: Peers


class Server(ABC):
    name: ClassVar[str]
    caches: ClassVar[bool] = True
    """It stands before an upstream; else it is a bare server of what lies there."""
    index: ClassVar[str] = "/simple/"
    ready: ClassVar[str] = "/simple/six/"
    workers: int = 1

    def __init__(self, place: Place) -> None:
        self._place = place

    @abstractmethod
    def process(self, folder: Path, cores: Collection[int] = SERVER) -> Process:
        """Not yet started, its data in this empty folder. Raises NotAvailable."""

    def page(self, url: str, name: str) -> str:
        return f"{url}{self.index}{name}/"

    def file(self, url: str, project: str, filename: str) -> str:
        """The link that its page gives; raises NotAvailable."""
        page = self.page(url, project)
        reply = ask("GET", page, headers={"Accept": JSON})
        if reply.status != 200:
            raise NotAvailable(f"its page of {project} is a {reply.status}")
        links = {str(file["filename"]): str(file["url"]) for file in json.loads(reply.body)["files"]}
        if filename not in links:
            raise NotAvailable(f"its page of {project} does not list {filename}")
        return urljoin(page, links[filename])

    def _bin(self, name: str) -> str:
        return self._place.peers.program(name)


class Product(Server):
    """As a user has it: access log to a file, all else by default but the upstream, and an hour of freshness."""

    name = "pypi-sidecar"
    ready = "/-/health"

    def __init__(self, place: Place, workers: int = 1) -> None:
        super().__init__(place)
        self.workers = workers

    def process(self, folder: Path, cores: Collection[int] = SERVER) -> Process:
        port = free_port()
        config = folder / "config.toml"
        config.write_text(config_text(self._place.upstream))
        options = ["--config", str(config), "--data-dir", str(folder / "data"), "--port", str(port)]
        if self.workers > 1:
            options += ["--workers", str(self.workers)]
        env = {"PYTHONPATH": str(Path(__file__).parents[2])}
        return Process([*PROGRAM, "serve", *options], folder, port, self.ready, cores=cores, env=env)


class NginxStatic(Server):
    """The upstream's files, its pages packed beforehand: what a machine can do."""

    name = "nginx static"
    caches = False

    def process(self, folder: Path, cores: Collection[int] = SERVER) -> Process:
        lines = static_lines(self._place.pages, self._place.made, self._place.recorded)
        return nginx(folder, "", lines, cores=cores)


class NginxCache(Server):
    """proxy_cache, links rewritten by sub_filter: what is often set up in place of an index server."""

    name = "nginx cache"

    def process(self, folder: Path, cores: Collection[int] = SERVER) -> Process:
        http, server = cache_lines(folder, self._place.upstream)
        return nginx(folder, http, server, cores=cores)


class BareAiohttp(Server):
    name = "aiohttp"
    caches = False

    def process(self, folder: Path, cores: Collection[int] = SERVER) -> Process:
        port = free_port()
        script = [self._bin("python"), str(_APPS / "aiohttp_app.py"), str(port)]
        return Process([*script, str(self._place.pages), str(self._place.made)], folder, port, self.ready, cores=cores)


class BareAsgi(Server):
    name = "uvicorn"
    caches = False

    def process(self, folder: Path, cores: Collection[int] = SERVER) -> Process:
        port = free_port()
        options = ["--port", str(port), "--no-access-log", "--log-level", "warning", "--http", "httptools"]
        env = {"BENCH_PAGES": self._place.pages, "BENCH_FILES": self._place.made}
        command = [self._bin("uvicorn"), "--app-dir", str(_APPS), *options, "--loop", "asyncio", "asgi_app:app"]
        return Process(command, folder, port, self.ready, cores=cores, env=_strings(env))


class Proxpi(Server):
    """Under gunicorn with threads, as its image runs it; as many threads as the load has connections."""

    name = "proxpi"
    index = "/index/"
    ready = "/health"

    def process(self, folder: Path, cores: Collection[int] = SERVER) -> Process:
        port = free_port()
        env = {
            "PROXPI_INDEX_URL": f"{self._place.upstream}/simple/",
            "PROXPI_INDEX_TTL": "3600",
            "PROXPI_CACHE_DIR": folder / "files",
            "PROXPI_LOGGING_LEVEL": "WARNING",
        }
        options = ["--bind", f"127.0.0.1:{port}", "--threads", "16", "--worker-tmp-dir", str(folder)]
        command = [self._bin("gunicorn"), *options, "--log-level", "warning", "proxpi.server:app"]
        return Process(command, folder, port, self.ready, cores=cores, env=_strings(env))


class Pypiron(Server):
    """Without its cooldown and its advisory feed, which need the outside and hide files."""

    name = "pypiron"
    ready = "/health"

    def process(self, folder: Path, cores: Collection[int] = SERVER) -> Process:
        port = free_port()
        places = ["--data-dir", str(folder / "data"), "--spool-dir", str(folder), "--bind-addr", f"127.0.0.1:{port}"]
        upstream = ["--proxy-upstream", self._place.upstream, "--allow-insecure-upstream"]
        same_files = ["--exclude-newer", "", "--include-yanked", "--advisory-feed", ""]
        command = [self._bin("pypiron"), "serve", *places, *upstream, *same_files]
        return Process(command, folder, port, self.ready, cores=cores, env={"RUST_LOG": "warn"})


ALL: Final[tuple[type[Server], ...]] = (
    Product,
    NginxStatic,
    NginxCache,
    BareAiohttp,
    BareAsgi,
    Proxpi,
    Pypiron,
)


def config_text(upstream: str) -> str:
    host = upstream.removeprefix("http://")
    sha256 = hashlib.sha256(SECRET.encode()).hexdigest()
    return f"""
[upstreams.pypi]
url = "{upstream}/simple/"
file_hosts = ["{host}"]
[cache]
page_ttl = "1h"
[access]
anonymous = "read"
[[tokens]]
name = "bench"
kind = "personal"
sha256 = "{sha256}"
scopes = ["read_api"]
access = {{ "default" = "guest" }}
[log]
access = true
"""


def empty(folder: Path) -> Path:
    """The folder, with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _strings(env: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in env.items()}
