"""The other end of `forks`: commands started, read and ended from a test.

with Forks(home) as forks:
    process = forks.start(["serve", "--port", "0"], directory)
    line = process.read_line()
    process.send(signal.SIGTERM)
    assert process.wait() == 0
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec

from tests.crash.forks import Start, Wait
from tests.e2e.harness import PATIENCE, ROOT, clean_env

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from signal import Signals

    from tests.crash.points import Point


class Plan(NamedTuple):
    """What is done at the steps of a process: it dies at a point, or writes all points into a file."""

    die_at: Point | None = None
    record: Path | None = None


LIVE = Plan()


class Forks:
    def __init__(self, home: Path) -> None:
        self._home = home

    def __enter__(self) -> Self:
        self._control, theirs = socket.socketpair()
        self._control.settimeout(PATIENCE)
        with theirs:
            fd = theirs.fileno()
            self._program = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.forks", str(fd)],
                cwd=ROOT,
                env=clean_env(HOME=self._home),
                pass_fds=[fd],
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        try:
            self._program.wait(PATIENCE)
        finally:
            self._program.kill()

    def start(self, args: Iterable[str | Path], directory: Path, plan: Plan = LIVE) -> Process:
        """`pypi-sidecar ARGS` with this working directory; its stderr is added to `stderr.txt` there."""
        stderr = directory / "stderr.txt"
        job = Start(
            args=tuple(map(str, args)),
            directory=str(directory),
            stderr=str(stderr),
            die_at=str(plan.die_at) if plan.die_at else None,
            record=str(plan.record) if plan.record else None,
        )
        reading, writing = os.pipe()
        try:
            pid = self._ask(job, writing)
        finally:
            os.close(writing)
        return Process(self, pid, reading, stderr)

    def wait(self, pid: int) -> int:
        """The exit status of a process that has ended, or is about to."""
        return self._ask(Wait(pid))

    def _ask(self, message: Start | Wait, *descriptors: int) -> int:
        socket.send_fds(self._control, [msgspec.json.encode(message)], descriptors)
        return int(self._control.recv(100))


class Process:
    """A command under way."""

    def __init__(self, forks: Forks, pid: int, stdout: int, stderr: Path) -> None:
        self._forks = forks
        self._pid = pid
        self._stdout = stdout
        self._stderr = stderr
        self._read = b""
        self._status: int | None = None

    @property
    def stdout(self) -> str:
        """What was read so far; all of it after `wait`."""
        return self._read.decode()

    @property
    def stderr(self) -> str:
        """All that was written in this directory, by earlier processes too."""
        return self._stderr.read_text()

    def read_line(self) -> str:
        """The first line; what there is of it where the process ended."""
        while b"\n" not in self._read and self._read_on():
            pass
        return self.stdout.partition("\n")[0]

    def send(self, number: Signals) -> None:
        """Harmless when it has ended: until `wait` the pid is nobody else's."""
        if self._status is None:
            os.kill(self._pid, number)

    def wait(self) -> int:
        """The exit status once it has ended; raises TimeoutError where it says nothing for long."""
        if self._status is None:
            while self._read_on():
                pass
            os.close(self._stdout)
            self._status = self._forks.wait(self._pid)
        return self._status

    def _read_on(self) -> bool:
        """Whether there may be more; the end of stdout is the end of the process."""
        ready, _, _ = select.select([self._stdout], [], [], PATIENCE)
        if not ready:
            raise TimeoutError(f"still running, and silent: {self.stderr}")
        data = os.read(self._stdout, 65536)
        self._read += data
        return bool(data)
