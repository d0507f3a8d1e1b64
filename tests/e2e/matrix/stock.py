"""What the matrix's servers hold: projects of their own, and public ones that they forward."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.builders import build_wheel
from tests.e2e.harness import run_program
from tests.e2e.wire import upload

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.e2e.harness import Server
    from tests.fake_index import Controls

APP = {"acme-app": "1.0", "acme-lib": "1.5", "public-lib": "2.0"}
"""What installing `acme-app` installs: a library of ours and a public one."""

WITHOUT_YANKED = {"acme-pulled": "1.0", "public-pulled": "1.0"}
"""Their versions 2.0 are yanked."""

TIMED = ("acme-timed", "public-timed")
"""Each has a 1.0 and, uploaded later, a 2.0."""

EARLIER = datetime(2023, 5, 1, tzinfo=UTC)
LATER = datetime(2025, 5, 1, tzinfo=UTC)


def add_public_projects(upstream: Controls) -> None:
    upstream.add_wheel("public-lib", "1.0")
    upstream.add_wheel("public-lib", "2.0")
    upstream.add_sdist("public-lib", "2.0")
    upstream.add_wheel("public-pulled", "1.0")
    upstream.add_wheel("public-pulled", "2.0", yanked="it deletes files")
    upstream.add_wheel("public-timed", "1.0", upload_time=EARLIER)
    upstream.add_wheel("public-timed", "2.0", upload_time=LATER)


def publish_own_projects(server: Server) -> None:
    _publish(server, "acme-app", "1.0", needs=["acme-lib>=1", "public-lib"])
    _publish(server, "acme-lib", "1.5")
    for name in ("acme-pulled", "acme-timed"):
        _publish(server, name, "1.0")
        _publish(server, name, "2.0")


def yank(project: str, release: str, *, data_dir: Path, config: Path) -> None:
    """As an operator does, beside the running server."""
    where: tuple[str | Path, ...] = ("--config", config, "--data-dir", data_dir)
    done = run_program("yank", project, release, "--reason", "it deletes files", *where, cwd=data_dir.parent)
    assert done.returncode == 0, done.stderr


def _publish(server: Server, name: str, version: str, needs: Iterable[str] = ()) -> None:
    built = build_wheel(name, version, requires_dist=needs)
    assert upload(f"{server.url}legacy/", name, version, built).status == 201
