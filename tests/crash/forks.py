"""Runs `pypi-sidecar` commands in forks of itself, so that the imports are paid for once.

    python -m tests.crash.forks FD

FD is a socket. Each message on it is answered by a number: `Start`, with the descriptor for the command's stdout, by
its pid; `Wait` by its exit status (a negative signal number where it was killed). When the other end closes, all ends.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from proxy.cli import main
from tests.crash.hooks import Steps, install
from tests.crash.points import parse_point

MESSAGE_SIZE = 65536


class Start(msgspec.Struct, tag=True, frozen=True):
    """`args` are the command's; `die_at` is a point, `record` a file for all points that are passed."""

    args: tuple[str, ...]
    directory: str
    stderr: str
    die_at: str | None = None
    record: str | None = None


class Wait(msgspec.Struct, tag=True, frozen=True):
    pid: int


def answer_all(control: socket.socket) -> None:
    """Until the other end is closed. In a fork this never returns: it raises SystemExit."""
    children: set[int] = set()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_SIZE, 1)
        if not message:
            break
        match msgspec.json.decode(message, type=Start | Wait):
            case Start() as job:
                (stdout,) = descriptors
                pid = os.fork()
                if pid == 0:
                    control.close()
                    become(job, stdout)
                os.close(stdout)
                children.add(pid)
                control.sendall(b"%d" % pid)
            case Wait(pid):
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                children.discard(pid)
                control.sendall(b"%d" % status)
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def become(job: Start, stdout: int) -> None:
    """This process is the command from here to its end; raises SystemExit."""
    os.chdir(job.directory)
    stderr = os.open(job.stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor, standard in ((stdout, 1), (stderr, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    if job.die_at or job.record:
        install(Steps(parse_point(job.die_at) if job.die_at else None, Path(job.record) if job.record else None))
    main(job.args, prog_name="pypi-sidecar")


if __name__ == "__main__":
    gc.freeze()  # else each fork writes to, and so copies, the pages of all that was imported
    answer_all(socket.socket(fileno=int(sys.argv[1])))
