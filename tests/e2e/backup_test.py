"""Backups of a server that is at work, restored into a new one; and what `verify` does to one that runs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.cli.running import run
from tests.e2e.harness import PATIENCE, NotStarted, Server, forwards_to, run_program
from tests.e2e.wire import ask, check_intact, list_files, list_projects, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.builders import BuiltFile
    from tests.e2e.harness import Serve
    from tests.fake_index import ThreadedFakeIndex

BEFORE, MEANWHILE = 10, 10
BUILT = {f"acme-{number:03}": build_wheel(f"acme-{number:03}", "1.0", size_padding=20_000) for number in range(200)}
PRIVATE = """
[groups.default]
id = 1
visibility = "private"
[projects."default/packages"]
id = 1
"""


class Publishing:
    """Uploads, one after the other, until they are told to stop; `done` names those that were acknowledged."""

    def __init__(self, server: Server) -> None:
        self.done: list[str] = []
        self._url = f"{server.url}legacy/"
        self._stop = False
        self._changed = threading.Condition()

    def run(self) -> None:
        for name, built in BUILT.items():
            if self._stop:
                return
            assert upload(self._url, name, "1.0", built).status == 201
            with self._changed:
                self.done.append(name)
                self._changed.notify_all()

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.done) >= count, PATIENCE)

    def stop(self) -> None:
        self._stop = True


def check_published(server: Server, name: str, built: BuiltFile) -> None:
    (file,) = list_files(f"{server.url}simple/{name}/")
    assert file.sha256 == built.sha256
    check_intact(file)
    assert ask("GET", f"{file.url}.metadata").body == built.metadata


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def test_what_was_acknowledged_before_a_backup_is_in_it_and_all_in_it_is_whole(
    serve: Serve, upstream: ThreadedFakeIndex, tmp_path: Path, backup: Path
) -> None:
    server = serve(forwards_to(upstream))
    publishing = Publishing(server)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(publishing.run)
        try:
            publishing.wait(BEFORE)
            acknowledged = list(publishing.done)
            made = run_program("backup", backup, "--data-dir", server.data_dir, cwd=tmp_path)
            publishing.wait(len(acknowledged) + MEANWHILE)
        finally:
            publishing.stop()
        running.result(PATIENCE)
    assert made.returncode == 0, made.stderr
    server.kill()

    assert run(tmp_path / "restored", "restore", str(backup)).exit_code == 0
    with Server(tmp_path / "restored", config=tmp_path / "config-0.toml") as again:
        listed = list_projects(f"{again.url}simple/")
        assert set(acknowledged) <= set(listed) <= set(BUILT)
        for name in listed:
            check_published(again, name, BUILT[name])
    assert run(tmp_path / "restored", "verify").exit_code == 0


def test_tokens_work_and_names_stay_claimed(
    serve: Serve, upstream: ThreadedFakeIndex, tmp_path: Path, backup: Path
) -> None:
    upstream.add_wheel("acme-000", "2.0")
    server = serve(forwards_to(upstream) + PRIVATE)
    words = ("token", "create", "--name", "ci", "--scope", "api", "--access", "default=maintainer")
    secret = run(server.data_dir, *words).stdout.strip()
    export = tmp_path / "export"
    export.mkdir()
    (export / BUILT["acme-000"].filename).write_bytes(BUILT["acme-000"].data)
    assert run(server.data_dir, "import", str(export), "--project", "1").exit_code == 0
    assert run(server.data_dir, "delete", "1", "acme-000==1.0").exit_code == 0
    assert run(server.data_dir, "backup", str(backup)).exit_code == 0
    server.terminate()

    assert run(tmp_path / "restored", "restore", str(backup)).exit_code == 0
    with Server(tmp_path / "restored", config=tmp_path / "config-0.toml") as again:
        bearer = {"Authorization": f"Bearer {secret}"}
        assert ask("GET", f"{again.url}simple/").status == 401
        assert ask("GET", f"{again.url}simple/", headers=bearer).status == 200
        assert ask("GET", f"{again.url}simple/acme-000/", headers=bearer).status == 404
        assert upstream.count("GET", "*acme-000*") == 0


def test_nothing_is_restored_over_a_server_and_none_starts_on_half_a_restore(
    serve: Serve, tmp_path: Path, backup: Path
) -> None:
    server = serve()
    assert upload(f"{server.url}legacy/", "acme-000", "1.0", BUILT["acme-000"]).status == 201
    assert run(server.data_dir, "backup", str(backup)).exit_code == 0
    refused = run(server.data_dir, "restore", str(backup))
    assert refused.exit_code == 1
    assert "in use by another pypi-sidecar" in refused.stderr
    check_published(server, "acme-000", BUILT["acme-000"])

    database = backup / "pypi-sidecar.db"
    content = database.read_bytes()
    database.write_bytes(content[:8192] + bytes(len(content) - 8192))
    restored = tmp_path / "restored"
    assert run(restored, "restore", str(backup)).exit_code == 1
    with pytest.raises(NotStarted, match="restore a backup"), Server(restored):
        pass
    database.write_bytes(content)
    assert run(restored, "restore", str(backup)).exit_code == 0
    with Server(restored) as again:
        check_published(again, "acme-000", BUILT["acme-000"])


def blob(server: Server, sha256: str) -> Path:
    return server.data_dir / "blobs" / sha256[:2] / sha256[2:]


def test_a_repair_beside_a_server_fetches_what_was_cached_and_asks_for_a_backup_of_what_was_not(
    serve: Serve, upstream: ThreadedFakeIndex, backup: Path
) -> None:
    upstream.add_wheel("six", "1.16.0", size_padding=10_000)
    server = serve(forwards_to(upstream))
    built = BUILT["acme-000"]
    assert upload(f"{server.url}legacy/", "acme-000", "1.0", built).status == 201
    (published,) = list_files(f"{server.url}simple/acme-000/")
    (cached,) = list_files(f"{server.url}simple/six/")
    check_intact(cached)
    assert run(server.data_dir, "backup", str(backup)).exit_code == 0
    for sha256 in (published.sha256, cached.sha256):
        blob(server, sha256).write_bytes(b"rotten")

    repaired = run(server.data_dir, "verify", "--repair")
    assert repaired.exit_code == 1
    assert f"acme-000/{built.filename}: put aside in quarantine/" in repaired.stdout
    assert f"bad-cached {cached.sha256}: dropped" in repaired.stdout
    check_intact(cached)
    assert upstream.count("GET", "*.whl") == 2
    lost = ask("GET", published.url)
    assert lost.status == 503
    assert "restore it from a backup" in lost.message

    path = blob(server, published.sha256)
    path.write_bytes((backup / path.relative_to(server.data_dir)).read_bytes())
    check_published(server, "acme-000", built)
    assert run(server.data_dir, "verify").exit_code == 0
