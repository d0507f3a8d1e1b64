"""Released clients, each in an environment of its own that the first who needs it makes.

Environments.program("poetry")    # the path of its command; made once a session, whichever process asks first
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.e2e.clients import BIN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RELEASES = {
    "pip-23": "pip==23.2.1",
    "pip-26": "pip==26.3",
    "poetry": "poetry==2.5.1",
    "pdm": "pdm[locked]==2.29.3",
    "twine-6": "twine==6.1.0",
    "twine-7": "twine==7.0.0",
    "flit": "flit==4.2.0",
    "hatch": "hatch==1.18.2",
}
"""By client; `uv` is the one that the project's own environment has."""

RELEASED_BEFORE = "2026-11-15T00:00:00Z"
"""What the clients themselves need is resolved as of this day, so that the same release runs in a year."""

PATIENCE = 240.0
"""Seconds for one environment on a machine that has to fetch everything."""


class Environments:
    """Environments in a directory that all processes of a test session share."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def program(self, client: str) -> Path:
        """The client's command; raises CalledProcessError where its environment cannot be made."""
        if client == "uv":
            return BIN / "uv"
        environment = self._directory / client
        made = self._directory / f"{client}.made"
        with _alone(self._directory / f"{client}.lock"):
            if not made.exists():
                _make(environment, RELEASES[client])
                made.touch()
        return environment / "bin" / client.partition("-")[0]


def _make(environment: Path, release: str) -> None:
    """Like the project's own: this machine's configuration says which index the clients come from."""
    _uv("venv", "--clear", "--python", sys.executable, environment)
    _uv("pip", "install", "--python", environment, "--exclude-newer", RELEASED_BEFORE, release)


def _uv(*args: str | Path) -> None:
    # Where it fails, its words are on stderr, which the test's report shows.
    subprocess.run([BIN / "uv", "--quiet", *args], check=True, env=os.environ, timeout=PATIENCE)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """No other process of this session is in here; the test's own timeout bounds the wait."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
