"""The environment that the Python peers run in: made once, from pinned requirements, beside the recording."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.processes import NotAvailable

if TYPE_CHECKING:
    from collections.abc import Callable

REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")


class Peers:
    """An environment in `folder`. Each package installs alone, so that one that does not takes no other with it."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say

    def program(self, name: str) -> str:
        """A peer's command; raises NotAvailable."""
        self._install()
        path = self._folder / "bin" / name
        if not path.exists():
            raise NotAvailable(f"{name} could not be installed")
        return str(path)

    def _install(self) -> None:
        mark = self._folder / "installed"
        wanted = REQUIREMENTS.read_text()
        if mark.exists() and mark.read_text() == wanted:
            return
        self._say("installing the peers")
        venv.create(self._folder, with_pip=True, clear=True)
        for line in wanted.splitlines():
            if line and not line.startswith("#") and not self._add(line):
                self._say(f"{line} could not be installed")
        mark.write_text(wanted)

    def _add(self, requirement: str) -> bool:
        pip = [str(self._folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
        return subprocess.run([*pip, requirement], stdout=sys.stderr, check=False, timeout=300).returncode == 0
