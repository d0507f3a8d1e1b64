"""The soak for a few seconds: that it works, and that so much goes well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.soak.soak import Soak

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 5.0
SEED = 20


@pytest.mark.slow
def test_mixed_load_with_trouble_upstream_gets_no_wrong_answer(tmp_path: Path) -> None:
    lines: list[str] = []
    summary = Soak(tmp_path, SECONDS, SEED, lines.append).run()
    assert summary.faults == []
    assert {"page 200", "file 200", "part 206", "own file 200", "delete 204"} <= set(summary.ends)
    assert summary.requests > 100
