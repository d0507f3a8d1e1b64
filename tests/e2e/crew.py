"""A server of several processes, and which of them did what."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.e2e.harness import FORWARDS_NOTHING, Server, eventually
from tests.e2e.wire import ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeVar

    T = TypeVar("T")

SIZE = 2
_ANSWERED = re.compile(r"INFO \[(\d+)\] \S+ (\w+) (\S+) (\d+)")


class CrewServer(Server):
    """`serve` with `SIZE` workers; `config` has no table `[server]`."""

    def __init__(self, data_dir: Path, config: str = FORWARDS_NOTHING) -> None:
        file = data_dir.with_suffix(".toml")
        file.write_text(f"[server]\nworkers = {SIZE}\n{config}")
        super().__init__(data_dir, config=file)

    @property
    def workers(self) -> set[int]:
        """The processes that live, but for the parent."""
        listed = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        return {int(pid) for pid in listed.stdout.split()}

    def answered(self, path: str = "") -> dict[int, int]:
        """How many requests each process has logged, those for `path` alone where one is given."""
        counts: dict[int, int] = {}
        for pid, _, logged, _ in _ANSWERED.findall(self.stderr):
            if path in {"", logged}:
                counts[int(pid)] = counts.get(int(pid), 0) + 1
        return counts

    def kill_worker(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    def until_all_answer(self) -> None:
        """There are as many workers as there should be, and each has answered somebody."""
        eventually(self._all_answer, what="every worker answers")

    def _all_answer(self) -> bool:
        ask("GET", f"{self.url}-/health")
        workers = self.workers
        return len(workers) == SIZE and workers <= self.answered().keys()


def crowd(work: Callable[[], T], size: int) -> list[T]:
    """What so many get who do it at the same time."""
    with ThreadPoolExecutor(size) as pool:
        return [done.result() for done in [pool.submit(work) for _ in range(size)]]
