"""A data directory that the server may not write in: it serves on, says so, and needs no restart once it may."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from proxy.sqlite.store import FILENAME
from tests.e2e.harness import PATIENCE, PROGRAM, Server, clean_env, forwards_to
from tests.e2e.storage_trouble import Stock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.fake_index import ThreadedFakeIndex


def as_anybody() -> Sequence[str]:
    """What a command is run by, so that modes count for it: root's power to ignore them is taken away."""
    if os.getuid() != 0:
        return ()
    if not (setpriv := shutil.which("setpriv")):
        pytest.skip("root ignores modes, and there is no setpriv to make it heed them")
    return (setpriv, "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", "--")


@pytest.fixture
def serve(tmp_path: Path, upstream: ThreadedFakeIndex) -> Iterator[Callable[[], Server]]:
    config = tmp_path / "config.toml"
    config.write_text(forwards_to(upstream))
    yield lambda: Server(tmp_path / "data", config=config, command=[*as_anybody(), *PROGRAM, "serve"])
    for folder in (tmp_path / "data", *(tmp_path / "data").rglob("*/")):
        folder.chmod(0o700)


def forbid(*folders: Path) -> None:
    for folder in folders:
        folder.chmod(0o500)


def allow(*folders: Path) -> None:
    for folder in folders:
        folder.chmod(0o700)


@pytest.mark.parametrize("where", ["parts", "blobs/*"])
def test_without_leave_to_write_it_serves_forwards_and_recovers(
    serve: Callable[[], Server], upstream: ThreadedFakeIndex, tmp_path: Path, where: str
) -> None:
    data_dir = tmp_path / "data"
    with serve() as server:
        stock = Stock(server, upstream, data_dir)
        folders = list(data_dir.glob(where))
        forbid(*folders)
        assert "check the disk and the owner" in stock.check_uploads_refused(server)
        stock.check_kept(server)
        stock.check_forwarded_uncached(server)
        if where == "parts":
            stock.check_not_ready(server, "blobs")
        allow(*folders)
        stock.check_recovered(server)


def test_a_server_starts_where_it_may_not_make_parts(
    serve: Callable[[], Server], upstream: ThreadedFakeIndex, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    with serve() as server:
        stock = Stock(server, upstream, data_dir)
        server.terminate()
    forbid(data_dir / "parts", data_dir / "blobs")
    with serve() as server:
        stock.check_kept(server)
        stock.check_not_ready(server, "blobs")
        allow(data_dir / "parts", data_dir / "blobs")
        stock.check_recovered(server)


def test_a_server_starts_over_a_database_that_may_not_be_written(
    serve: Callable[[], Server], upstream: ThreadedFakeIndex, tmp_path: Path
) -> None:
    with serve() as server:
        stock = Stock(server, upstream, tmp_path / "data")
        server.terminate()
    (tmp_path / "data" / FILENAME).chmod(0o400)
    with serve() as server:
        stock.check_kept(server)
        stock.check_not_ready(server, "database")
        assert "the database cannot be written; check the permissions" in stock.check_uploads_refused(server)


def test_a_data_directory_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    forbid(data_dir)
    command = [*as_anybody(), *PROGRAM, "serve", "--port", "0", "--data-dir", str(data_dir)]
    ended = subprocess.run(
        command, cwd=tmp_path, env=clean_env(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"{data_dir} cannot be written: make it this user's own" in ended.stderr
    assert "Traceback" not in ended.stderr
