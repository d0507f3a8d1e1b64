"""A server as a process: pinned, its output in a file, ended for sure."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Final, Self

from tests.bench.cores import pinned
from tests.bench.procfs import cpu_seconds, peak_bytes, pss_bytes
from tests.e2e.harness import clean_env

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

PATIENCE: Final = 20.0
_POLL: Final = 0.005
_GRACE: Final = 5.0


class NotAvailable(Exception):
    """What a row needs is not to be had here; the words go into the row."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Process:
    """Runs inside the block. It is ready when `path` answers anything below 500.

    `startup` is the seconds from the start to that answer; `peak` is known after the end too.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        port: int,
        path: str,
        *,
        cores: Collection[int],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._command = pinned(cores, *command)
        self._folder = folder
        self._port = port
        self._path = path
        self._env = clean_env(HOME=folder, **(env or {}))
        self._log = folder / "log"
        self.startup = 0.0
        self.peak = 0

    def __enter__(self) -> Self:
        began = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._await_answer(began + PATIENCE)
        except BaseException:
            self._end()
            raise
        self.startup = time.monotonic() - began
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def cpu(self) -> float:
        """Seconds so far."""
        return cpu_seconds(self._process.pid)

    @property
    def pss(self) -> int:
        return pss_bytes(self._process.pid)

    def note_peak(self) -> int:
        """The highest memory so far, bytes."""
        self.peak = max(self.peak, peak_bytes(self._process.pid))
        return self.peak

    def empty_log(self) -> None:
        """An access log of all requests of a bench would fill a disk."""
        os.truncate(self._log, 0)

    def _await_answer(self, deadline: float) -> None:
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise NotAvailable(f"does not start: {self._last_words()}")
            time.sleep(_POLL)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        with contextlib.closing(connection):
            try:
                connection.request("GET", self._path)
                return connection.getresponse().status < 500
            except (OSError, http.client.HTTPException):
                return False

    def _last_words(self) -> str:
        said = self._log.read_text(errors="replace").strip().splitlines()
        return said[-1][:200] if said else "it said nothing"

    def _end(self) -> None:
        self.note_peak()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # and what it left behind
        self._process.wait()
