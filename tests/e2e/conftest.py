from __future__ import annotations

from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import Machine
from tests.e2e.harness import FORWARDS_NOTHING, Server
from tests.fake_index import ThreadedFakeIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.harness import Serve


@pytest.fixture
def upstream() -> Iterator[ThreadedFakeIndex]:
    with ThreadedFakeIndex() as index:
        yield index


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    numbers = count()
    with ExitStack() as stack:

        def start(config: str = FORWARDS_NOTHING) -> Server:
            file = tmp_path / f"config-{next(numbers)}.toml"
            file.write_text(config)
            return stack.enter_context(Server(tmp_path / "data", config=file))

        yield start


@pytest.fixture
def new_machine(tmp_path: Path) -> Callable[[], Machine]:
    """Machines that share nothing."""
    numbers = count()

    def make() -> Machine:
        home = tmp_path / f"home-{next(numbers)}"
        home.mkdir()
        return Machine(home)

    return make


@pytest.fixture
def machine(new_machine: Callable[[], Machine]) -> Machine:
    return new_machine()
