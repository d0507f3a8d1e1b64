"""/proc of a made-up family: 10 is the parent of 11, which is the parent of 12."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.bench.procfs import cpu_seconds, peak_bytes, pss_bytes, tree


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for pid, child in ((10, "11"), (11, "12"), (12, "")):
        folder = tmp_path / str(pid)
        (folder / "task" / str(pid)).mkdir(parents=True)
        (folder / "task" / str(pid) / "children").write_text(child)
        (folder / "stat").write_text(f"{pid} (a (b) c) S 1 2 3 4 5 6 7 8 9 10 100 20 3 4 20 0 1 0 5 6 7")
        (folder / "status").write_text(f"Name:\tx\nVmHWM:\t{pid} kB\nVmRSS:\t1 kB\n")
        (folder / "smaps_rollup").write_text("Rss: 500 kB\nPss: 7 kB\nPss_Dirty: 1 kB\n")
    return tmp_path


def test_descendants_belong_to_the_tree(proc: Path) -> None:
    assert tree(10, proc) == [10, 11, 12]
    assert tree(12, proc) == [12]


def test_a_process_that_is_gone_takes_nothing(proc: Path) -> None:
    assert tree(99, proc) == []
    assert (cpu_seconds(99, proc), peak_bytes(99, proc), pss_bytes(99, proc)) == (0, 0, 0)


def test_cpu_counts_user_system_and_ended_children_of_all(proc: Path) -> None:
    assert cpu_seconds(10, proc) == 3 * 127 / os.sysconf("SC_CLK_TCK")


def test_memory_is_summed_in_bytes(proc: Path) -> None:
    assert peak_bytes(10, proc) == (10 + 11 + 12) * 1024
    assert pss_bytes(11, proc) == 2 * 7 * 1024


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
def test_this_process_can_be_read() -> None:
    assert os.getpid() in tree(os.getpid())
    assert peak_bytes(os.getpid()) > 1_000_000
