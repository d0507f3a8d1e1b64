from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from tests.crash.processes import Forks
from tests.fake_index import ThreadedFakeIndex

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.register_assert_rewrite("tests.crash.aftermath", "tests.crash.crowd", "tests.crash.world")

_MEMORY = Path("/dev/shm")  # noqa: S108 - only the directories made below it are used


@pytest.fixture
def upstream() -> Iterator[ThreadedFakeIndex]:
    with ThreadedFakeIndex() as index:
        yield index


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """In memory where the machine has such a directory: a kill, unlike a power cut, does not ask where files lie."""
    with TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else tmp_path) as directory:
        yield Path(directory)


@pytest.fixture
def forks(directory: Path) -> Iterator[Forks]:
    with Forks(directory) as forks:
        yield forks
