"""A real client: uv installs jupyterlab with all that it needs, its own cache empty, the server's warm."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from tests.bench.processes import NotAvailable
from tests.bench.results import Gap
from tests.bench.servers import empty
from tests.e2e.harness import clean_env

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bench.processes import Process
    from tests.bench.servers import Server
    from tests.bench.session import Found, Session

_PATIENCE: Final = 120
_SERVERS: Final = ("pypi-sidecar", "nginx cache", "nginx static")
"""nginx static is the upstream itself, on the server's core instead of the load's: the direct way."""
_ROUNDS: Final = 5


def measure(session: Session) -> Iterator[Found]:
    servers = [server for server in session.servers if server.name in _SERVERS]
    try:
        pins = session.recording.pins()
    except NotAvailable as error:
        yield from (Gap(row, server.name, str(error)) for server in servers for row in ("uv", "uv-cpu"))
        return
    with session.fleet(servers) as fleet:
        session.say("uv pip install, to fill the caches")
        install = _Install(pins, session.folder / "uv")
        list(fleet.compare(["uv", "uv-cpu"], install, rounds=1))
        session.say("uv pip install")
        yield from fleet.compare(["uv", "uv-cpu"], install, rounds=_ROUNDS if session.options.rounds > 1 else 1)


class _Install:
    """Seconds of one installation into an empty folder, and the server's CPU seconds for it."""

    def __init__(self, pins: Path, folder: Path) -> None:
        self._pins = pins
        self._folder = folder

    def __call__(self, server: Server, process: Process, _: int) -> list[float]:
        folder = empty(self._folder)
        index = f"{process.url}{server.index}"
        options = ["--default-index", index, "--only-binary", ":all:", "--no-config", "--quiet"]
        command = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, *options]
        target = ["--target", str(folder / "target"), "-r", str(self._pins)]
        env = clean_env(UV_CACHE_DIR=folder / "cache", HOME=folder)
        cpu, began = process.cpu, time.monotonic()
        ended = subprocess.run(
            [*command, *target], env=env, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
        took = time.monotonic() - began
        empty(folder)
        if ended.returncode:
            raise NotAvailable(f"uv fails: {ended.stderr.strip()[-200:]}")
        return [took, process.cpu - cpu]
