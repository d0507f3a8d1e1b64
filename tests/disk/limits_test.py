"""Real limits of the operating system, in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("limits_child.py")
CHUNK_SIZE = 65536


def test_a_file_that_may_not_grow_is_trouble_and_leaves_nothing(tmp_path: Path) -> None:
    # The second write is cut short at the limit, the rest of it fails (EFBIG).
    child = subprocess.run([sys.executable, CHILD, tmp_path, "100000"], capture_output=True, text=True, check=False)
    assert child.stdout == f"StorageTrouble {CHUNK_SIZE} 0\n", child.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a small file system of one's own is Linux's")
def test_a_full_disk_is_said_to_be_full_and_has_room_again(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=1m tmpfs "$2" && exec "$0" "$1" "$2"'
    child = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script, sys.executable, CHILD, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    error, size, left = child.stdout.split() or pytest.fail(f"needs user namespaces and tmpfs: {child.stderr}")
    assert (error, left) == ("StorageFull", "0")
    assert int(size) % CHUNK_SIZE == 0
    assert int(size) > 0
