"""The server as its users have it: a process with two pipes, signals and an exit status.

with Server(data_dir, config=file) as server:       # ready: it has printed its one line
    assert ask("GET", f"{server.url}-/health").status == 200
    server.terminate()                              # or kill(); leaving the block kills what still runs
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, Self

from tests.fake_index.signals import Bulletin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.fake_index import Controls

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "proxy")

PATIENCE = 20.0
"""Seconds for what takes less than one on an idle machine: starting, stopping, a refusal."""

_LISTENING = re.compile(r"listening on (http://[^/\s]+:\d+/)")
_FOREIGN = ("PIP_", "UV_", "TWINE_", "PYPI_SIDECAR_", "PYTHON")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def clean_env(**given: str | Path) -> dict[str, str]:
    """This process's environment without what would steer Python, a client or the server, and with `given`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    kept = {key: value for key, value in kept.items() if key.lower() not in _PROXIES}
    return kept | {key: str(value) for key, value in given.items()}


def eventually(holds: Callable[[], bool], *, what: str, seconds: float = PATIENCE) -> None:
    """Wait for something that no event tells of; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds} s still not: {what}")
        time.sleep(0.01)


def run_program(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`pypi-sidecar ARGS` to its end, whatever the exit status."""
    command = [*PROGRAM, *map(str, args)]
    return subprocess.run(
        command, cwd=cwd, env=clean_env(HOME=cwd), capture_output=True, text=True, timeout=PATIENCE, check=False
    )


UNREACHABLE = '[upstreams.pypi]\nurl = "http://127.0.0.1:1/simple/"\n'
ALWAYS_ASK = '[cache]\npage_ttl = "0s"\n'
"""Each use of a page asks the upstream: without one, the stale page must stand in."""
FORWARDS_NOTHING = "[forwarding]\nenabled = false\n"


def forwards_to(upstream: Controls) -> str:
    """A config whose PyPI is the fake index."""
    return f'[upstreams.pypi]\nurl = "{upstream.simple_url}"\nfile_hosts = ["{upstream.files_host}"]\n'


class NotStarted(AssertionError):
    """The process ended, or said something else, where it should have begun to listen."""


class Server:
    """`pypi-sidecar serve` on a free port of 127.0.0.1. Its working directory is the one that holds `data_dir`.

    `command` and `env` are for who starts it in another way; `patience` is how long that may take, in seconds.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        config: Path | None = None,
        command: Sequence[str | Path] = (*PROGRAM, "serve"),
        env: Mapping[str, str] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.data_dir = data_dir
        options = ["--port", "0", "--data-dir", data_dir, *(["--config", config] if config else [])]
        self._command = [*map(str, command), *map(str, options)]
        self._env = clean_env() if env is None else env
        self._patience = patience

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command,
            cwd=self.data_dir.parent,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that a script's children go with it
        )
        assert self.process.stdout
        assert self.process.stderr
        self._stdout, self._stderr = _Output(self.process.stdout), _Output(self.process.stderr)
        try:
            self.url = self._await_url()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._end()
        sys.stderr.write(self.stderr)  # for the report of a test that fails
        if kind is None:
            assert "Traceback" not in self.stderr, self.stderr

    @property
    def netloc(self) -> str:
        return self.url.removeprefix("http://").removesuffix("/")

    @property
    def stdout(self) -> str:
        """What it has printed so far; all of it once it has ended."""
        return self._stdout.text

    @property
    def stderr(self) -> str:
        return self._stderr.text

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = PATIENCE) -> int:
        """The exit status once it has ended; raises subprocess.TimeoutExpired."""
        status = self.process.wait(seconds)
        self._stdout.join()
        self._stderr.join()
        return status

    def terminate(self) -> None:
        """Ask it to stop, as an operator does; it must say that all went well."""
        self.send(signal.SIGTERM)
        assert self.wait() == 0, self.stderr

    def kill(self) -> None:
        """As a power cut or the kernel's out-of-memory killer: it gets no chance to tidy up."""
        self.send(signal.SIGKILL)
        self.wait()

    def _await_url(self) -> str:
        self._stdout.until_line(self._patience)
        if match := _LISTENING.fullmatch(self.stdout.rstrip("\n")):
            return match[1]
        raise NotStarted(f"{' '.join(self._command)} printed {self.stdout!r}\n{self.stderr}")

    def _end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()


class Serve(Protocol):
    """Starts a server with this config that the test's end stops. All of one test have one data directory."""

    def __call__(self, config: str = FORWARDS_NOTHING) -> Server: ...


class _Output:
    """One pipe of a process, read as it is written, so that it never fills up and stops the writer."""

    def __init__(self, pipe: IO[str]) -> None:
        self._pipe = pipe
        self._lines: list[str] = []
        self._ended = False
        self._changed = Bulletin()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        return "".join(self._lines)

    def until_line(self, seconds: float) -> None:
        """Wait for the first line, or the end; raises TimeoutError."""
        self._changed.block_until(lambda: bool(self._lines) or self._ended, seconds)

    def join(self) -> None:
        """All is read: the process has ended, and so has whoever inherited the pipe."""
        self._thread.join(PATIENCE)

    def _read(self) -> None:
        with self._pipe:
            for line in self._pipe:
                self._lines.append(line)
                self._changed.post()
        self._ended = True
        self._changed.post()
