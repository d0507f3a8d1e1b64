"""A kill at every step of a commit: what is visible is whole, and what was acknowledged is visible."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from proxy.core.digests import sha256_of
from proxy.disk import open_blob_store

CHILD = Path(__file__).with_name("crash_child.py")
CONTENT = b"0123456789" * 10_000


def killed_at(step: int, data_dir: Path) -> subprocess.CompletedProcess[str]:
    child = subprocess.run([sys.executable, CHILD, data_dir, str(step)], capture_output=True, text=True, check=False)
    assert child.returncode in {0, -signal.SIGKILL}, child.stderr
    return child


def files_under(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


async def recover(data_dir: Path, *, acknowledged: bool) -> None:
    """The next server: it sees all or nothing, sweeps what was left and keeps the same bytes again."""
    sha256 = sha256_of(CONTENT)
    async with open_blob_store(data_dir) as blobs:
        found = await blobs.read(sha256, limit=len(CONTENT))
        assert found == CONTENT or (found is None and not acknowledged)
        await blobs.sweep(datetime.now(UTC) + timedelta(hours=1))
        part = await blobs.writer()
        await part.write(CONTENT)
        blob = await part.commit()
        await part.close()
    assert files_under(data_dir) == [blob.path]
    assert blob.path.read_bytes() == CONTENT


async def test_a_kill_at_any_step_shows_nothing_half_made_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    for step in count(1):
        data_dir = tmp_path / str(step)
        child = killed_at(step, data_dir)
        await recover(data_dir, acknowledged=child.stdout == "committed\n")
        if child.returncode == 0:
            assert child.stdout == "committed\n"
            assert step > 5, "a commit has at least: make, write, sync, rename, sync the directory"
            return
