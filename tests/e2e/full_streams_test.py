"""A server whose own words cannot be written: its output goes into a file on a full disk, or to nobody."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness import FORWARDS_NOTHING, PATIENCE, PROGRAM, Server, clean_env
from tests.e2e.wire import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

FULL = Path("/dev/full")

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="no device here is always full")


@contextmanager
def full_disk() -> Iterator[int]:
    fd = os.open(FULL, os.O_WRONLY)
    yield fd
    os.close(fd)


@contextmanager
def pipe_without_reader() -> Iterator[int]:
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize("stdout", [full_disk, pipe_without_reader])
def test_a_line_that_cannot_be_printed_keeps_no_server_from_serving(
    tmp_path: Path, stdout: Callable[[], AbstractContextManager[int]]
) -> None:
    command = [*PROGRAM, "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    with (
        stdout() as fd,
        subprocess.Popen(
            command, cwd=tmp_path, env=clean_env(), stdout=fd, stderr=subprocess.PIPE, text=True
        ) as server,
    ):
        try:
            assert server.stderr
            pip_line = server.stderr.readline()
            assert ask("GET", f"{pip_line.split()[3].removesuffix('simple/')}-/health").status == 200
            server.send_signal(signal.SIGTERM)
            _, words = server.communicate(timeout=PATIENCE)
        finally:
            server.kill()
    assert (server.returncode, "Traceback" in words) == (0, False)


def test_a_log_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(FORWARDS_NOTHING)
    command = ["sh", "-c", f'exec "$@" 2>{FULL}', "sh", *PROGRAM, "serve"]
    with Server(tmp_path / "data", config=config, command=command) as server:
        for _ in range(100):
            assert ask("GET", f"{server.url}-/health").status == 200
        server.terminate()


def test_one_line_on_stdout_where_there_is_no_stderr(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(FORWARDS_NOTHING)
    with Server(
        tmp_path / "data", config=config, command=["sh", "-c", 'exec "$@" 2>&-', "sh", *PROGRAM, "serve"]
    ) as server:
        server.terminate()
    assert server.stdout == f"listening on {server.url}\n"
