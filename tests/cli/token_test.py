from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.cli.running import run

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

CREATE = ("token", "create", "--scope", "api", "--access", "default=developer")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "not" / "there" / "yet"


@pytest.fixture(autouse=True)
def _parent(data_dir: Path) -> None:
    data_dir.parent.mkdir(parents=True)


def create(data_dir: Path, *words: str) -> str:
    """The secret."""
    done = run(data_dir, *CREATE, *words)
    assert done.exit_code == 0, done.output
    return done.stdout.removesuffix("\n")


def listed(data_dir: Path) -> list[dict[str, object]]:
    done = run(data_dir, "token", "list", "--json")
    assert done.exit_code == 0, done.output
    tokens: list[dict[str, object]] = json.loads(done.stdout)
    return tokens


def check_refused(done: Result, status: int, *words: str) -> None:
    assert (done.exit_code, done.stdout) == (status, "")
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_a_secret_stands_alone_on_stdout(data_dir: Path) -> None:
    secret = create(data_dir, "--name", "ci")
    assert secret.startswith("psc_")
    assert len(secret.split()) == 1


def test_a_secret_is_in_no_file_that_is_kept(data_dir: Path) -> None:
    secret = create(data_dir, "--name", "ci")
    files = [path for path in data_dir.rglob("*") if path.is_file()]
    assert files
    assert all(secret.encode() not in path.read_bytes() for path in files)


def test_nobody_else_reads_what_is_made(data_dir: Path) -> None:
    create(data_dir, "--name", "ci")
    assert data_dir.stat().st_mode & 0o077 == 0


def test_json_holds_the_secret_too(data_dir: Path) -> None:
    done = run(data_dir, *CREATE, "--name", "ci", "--json")
    told = json.loads(done.stdout)
    assert (told["name"], told["secret"][:4]) == ("ci", "psc_")


def test_a_list_says_all_but_secrets(data_dir: Path) -> None:
    secret = create(data_dir, "--name", "ci", "--kind", "job", "--username", "zoe", "--scope", "read_api")
    run(data_dir, *CREATE, "--name", "second", "--access", "default/packages=guest", "--expires", "30d")
    first, second = listed(data_dir)
    assert first == {
        "name": "ci",
        "kind": "job",
        "username": "zoe",
        "scopes": ["api", "read_api"],
        "access": {"default": "developer"},
        "created_at": first["created_at"],
        "expires_at": None,
        "status": "valid",
    }
    assert (second["kind"], second["access"]) == ("personal", {"default": "developer", "default/packages": "guest"})
    lifetime = datetime.fromisoformat(str(second["expires_at"])) - datetime.fromisoformat(str(second["created_at"]))
    assert lifetime == timedelta(days=30)
    assert datetime.now(UTC) - datetime.fromisoformat(str(second["created_at"])) < timedelta(minutes=1)
    table = run(data_dir, "token", "list").stdout
    for word in ("NAME", "ci", "job", "zoe", "api,read_api", "default=developer", "never", "valid"):
        assert word in table
    assert secret not in table
    assert len(table.splitlines()) == 3


def test_a_list_has_the_configs_tokens_too_and_says_which_have_expired(data_dir: Path) -> None:
    create(data_dir, "--name", "ci")
    (data_dir.parent / "empty.toml").write_text(
        f'[[tokens]]\nname = "old"\nsha256 = "{"0" * 64}"\nscopes = ["api"]\nexpires = 2020-01-01\n'
    )
    old, _ = listed(data_dir)
    assert (old["name"], old["created_at"], old["status"]) == ("old", None, "expired")
    assert "in the config" in run(data_dir, "token", "list").stdout
    assert "0" * 64 not in run(data_dir, "token", "list", "--json").stdout


def test_a_revoked_token_is_gone_from_the_list_and_its_name_is_free(data_dir: Path) -> None:
    create(data_dir, "--name", "ci")
    done = run(data_dir, "token", "revoke", "ci")
    assert (done.exit_code, done.stdout) == (0, "ci is revoked\n")
    assert listed(data_dir) == []
    create(data_dir, "--name", "ci")
    assert len(listed(data_dir)) == 1


def test_a_name_that_is_in_use_is_told(data_dir: Path) -> None:
    create(data_dir, "--name", "ci")
    check_refused(run(data_dir, *CREATE, "--name", "ci"), 1, "ci", "in use", "revoke it first")
    assert len(listed(data_dir)) == 1


def test_revoking_what_is_not_there_is_told(data_dir: Path) -> None:
    create(data_dir, "--name", "ci")
    check_refused(run(data_dir, "token", "revoke", "cy"), 1, "no token named cy")


@pytest.mark.parametrize("words", [("list",), ("revoke", "ci")])
def test_only_creating_makes_a_data_directory(data_dir: Path, words: tuple[str, ...]) -> None:
    check_refused(run(data_dir, "token", *words), 1, "there is no data in", str(data_dir))
    assert not data_dir.exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--scope", "api", "--access", "default=guest"), "--name"),
        (("--name", "x", "--access", "default=guest"), "--scope"),
        (("--name", "x", "--scope", "api"), "--access"),
        (("--name", "", "--scope", "api", "--access", "default=guest"), "name on one line"),
        (("--name", "a\nb", "--scope", "api", "--access", "default=guest"), "name on one line"),
        (("--name", "x", "--username", "a:b", "--scope", "api", "--access", "default=guest"), "colon"),
        (("--name", "x", "--kind", "anonymous", "--scope", "api", "--access", "default=guest"), "deploy"),
        (("--name", "x", "--scope", "all", "--access", "default=guest"), "read_package_registry"),
        (("--name", "x", "--scope", "api", "--access", "defualt=guest"), "default/packages"),
        (("--name", "x", "--scope", "api", "--access", "default=king"), '"maintainer"'),
        (("--name", "x", "--scope", "api", "--access", "default"), '"maintainer"'),
        (("--name", "x", "--scope", "api", "--access", "=guest"), "path"),
        (("--name", "x", "--scope", "api", "--access", "default=guest", "--access", "default=owner"), "twice"),
        (("--name", "x", "--scope", "api", "--access", "default=guest", "--expires", "30"), "7d"),
        (("--name", "x", "--scope", "api", "--access", "default=guest", "--expires", "0d"), "7d"),
        (("--name", "x", "--scope", "api", "--access", "default=guest", "--expires", "99999999d"), "7d"),
    ],
)
def test_what_cannot_be_a_token_is_told_and_nothing_is_made(data_dir: Path, words: tuple[str, ...], told: str) -> None:
    check_refused(run(data_dir, "token", "create", *words), 2, told)
    assert not data_dir.exists()
