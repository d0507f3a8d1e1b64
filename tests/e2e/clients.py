"""Real clients: pip, uv and twine, each run as a person runs it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.harness import clean_env

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PIP = (sys.executable, "-m", "pip", "--isolated", "--no-input", "--disable-pip-version-check")
BIN = Path(sys.executable).parent
TIMEOUT = 60.0

_LOGIN = ("--username", "nobody", "--password", "nothing")
"""twine and uv publish only with a login. One that the server does not know counts as anonymous."""


@dataclass(frozen=True)
class Machine:
    """Where somebody works: a home, and clients whose configuration and caches begin empty."""

    home: Path
    timeout: float = TIMEOUT

    def pip_download(self, index: str, directory: Path, *wanted: str) -> Mapping[str, str]:
        """The sha256 of each file that `pip download` fetched, by filename."""
        self._succeed([*PIP, "download", "-q", "--index-url", index, "-d", str(directory), *wanted])
        return sha256s(directory)

    def pip_install(self, index: str, target: Path, *wanted: str) -> Mapping[str, str]:
        """The versions that stand in `target` after `pip install`, by project."""
        command = [*PIP, "install", "-q", "--no-compile", "--index-url", index, "--target", str(target), *wanted]
        self._succeed(command)
        return installed(target)

    def uv_install(self, index: str, target: Path, *wanted: str) -> Mapping[str, str]:
        command = ["uv", "pip", "install", "--quiet", "--python", sys.executable, "--target", str(target)]
        self._succeed([*command, "--default-index", index, *wanted])
        return installed(target)

    def twine_upload(self, url: str, *files: Path) -> subprocess.CompletedProcess[str]:
        command = ["twine", "upload", "--non-interactive", "--disable-progress-bar", *_LOGIN, "--repository-url", url]
        return self.run([*command, *map(str, files)])

    def uv_publish(self, url: str, *files: Path, check_url: str = "") -> subprocess.CompletedProcess[str]:
        command = ["uv", "publish", "--trusted-publishing", "never", *_LOGIN, "--publish-url", url]
        command += ["--check-url", check_url] if check_url else []
        return self.run([*command, *map(str, files)])

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """A client to its end, whatever the exit status."""
        program = BIN / command[0]  # an absolute command stays what it is
        return subprocess.run(
            [str(program), *command[1:]],
            cwd=self.home,
            env=client_env(self.home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.timeout,
            check=False,
        )

    def _succeed(self, command: Sequence[str]) -> None:
        done = self.run(command)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def client_env(home: Path) -> dict[str, str]:
    return clean_env(
        HOME=home,
        XDG_CACHE_HOME=home / "cache",
        XDG_CONFIG_HOME=home / "config",
        XDG_DATA_HOME=home / "data",
        PIP_CONFIG_FILE="/dev/null",
        PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring",
        TERM="dumb",
        UV_CACHE_DIR=home / "cache" / "uv",
        UV_NO_CONFIG="1",
        UV_PYTHON_DOWNLOADS="never",
    )


def installed(target: Path) -> Mapping[str, str]:
    """Versions by project."""
    return {found.name: found.version for found in distributions(path=[str(target)])}


def sha256s(directory: Path) -> Mapping[str, str]:
    """The sha256 of each file below a directory, by its path from there."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
