"""Rows that the bench writes itself are those that the server reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.growth import fill
from tests.e2e.harness import FORWARDS_NOTHING, Server
from tests.e2e.wire import list_files, list_projects

if TYPE_CHECKING:
    from pathlib import Path


def test_a_filled_data_directory_is_served(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(FORWARDS_NOTHING)
    data_dir = tmp_path / "data"
    with Server(data_dir, config=config) as server:
        server.terminate()
    fill(data_dir, 3)
    with Server(data_dir, config=config) as server:
        simple = f"{server.url}simple/"
        assert list_projects(simple) == ["local-0", "local-1", "local-2"]
        assert [file.filename for file in list_files(f"{simple}local-2/")] == ["local_2-1.0-py3-none-any.whl"]
