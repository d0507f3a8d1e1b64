"""What GitLab's documentation has people type, word for word but for the host: it works here as it does there.

A private group `acme` (10) with the project `acme/ml/models` (101) in a subgroup; a personal, a deploy and
a job token.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.builders import build_sdist, build_wheel
from tests.e2e.clients import BIN, PIP, installed
from tests.e2e.harness import Server, eventually, forwards_to, run_program
from tests.e2e.wire import JSON, ask, upload_form
from tests.fake_index import ThreadedFakeIndex

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.clients import Machine


class Login(NamedTuple):
    username: str
    secret: str

    def within(self, url: str) -> str:
        """The URL with the credentials in it, as `http://name:token@host/…`."""
        return url.replace("http://", f"http://{self.username}:{self.secret}@")


PERSONAL = Login("ada", "glpat-of-the-flows")
DEPLOY = Login("gitlab+deploy-token-1", "gldt-of-the-flows")
JOB = Login("gitlab-ci-token", "glcbt-of-the-flows")
LOGINS = {"personal": PERSONAL, "deploy": DEPLOY, "job": JOB}
REFUSED = {
    "job token, another user name": Login("__token__", JOB.secret),
    "job token, no such": Login(JOB.username, "glcbt-unknown"),
    "personal token, no such": Login(PERSONAL.username, "glpat-unknown"),
    "deploy token, no such": Login(DEPLOY.username, "gldt-unknown"),
}

PROJECT = "api/v4/projects/101/packages/pypi"
PROJECT_BY_PATH = "api/v4/projects/acme%2Fml%2Fmodels/packages/pypi"
GROUP = "api/v4/groups/10/-/packages/pypi"
SUBGROUP_BY_PATH = "api/v4/groups/acme%2Fml/-/packages/pypi"
INDEXES = [PROJECT, PROJECT_BY_PATH, GROUP, SUBGROUP_BY_PATH]

STOCK = {"acme-app": "1.2", "public-lib": "2.0"}
"""Published in the project, and what it needs from the public index."""

GROUPS = """
[groups."acme"]
id = 10
visibility = "private"
[groups."acme/ml"]
id = 11
[projects."acme/ml/models"]
id = 101
"""


def token_table(kind: str, login: Login, scopes: list[str]) -> str:
    sha256 = hashlib.sha256(login.secret.encode()).hexdigest()
    access = '{ "acme" = "developer" }'
    return f'[[tokens]]\nname = "{kind}"\nkind = "{kind}"\nsha256 = "{sha256}"\nscopes = {scopes}\naccess = {access}\n'


TOKENS = (
    token_table("personal", PERSONAL, ["api"])
    + token_table("deploy", DEPLOY, ["read_package_registry", "write_package_registry"])
    + token_table("job", JOB, ["api"])
)


@pytest.fixture(scope="module")
def public() -> Iterator[ThreadedFakeIndex]:
    """What stands for pypi.org."""
    with ThreadedFakeIndex() as index:
        index.add_wheel("public-lib", "2.0")
        yield index


@pytest.fixture(scope="module")
def config(public: ThreadedFakeIndex, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("gitlab") / "config.toml"
    file.write_text(forwards_to(public) + GROUPS + TOKENS)
    return file


@pytest.fixture(scope="module")
def server(config: Path) -> Iterator[Server]:
    with Server(config.with_name("data"), config=config) as server:
        built = build_wheel("acme-app", "1.2", requires_dist=["public-lib"])
        content_type, body = upload_form("acme-app", "1.2", built)
        headers = {"Content-Type": content_type, "PRIVATE-TOKEN": PERSONAL.secret}
        assert ask("POST", server.url + PROJECT, headers=headers, body=body).status == 201
        yield server
        assert [login for login in LOGINS.values() if login.secret in server.stderr] == []


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A project that no other test has: they share the server."""
    return "flow-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


@pytest.fixture
def wheel(machine: Machine, name: str) -> Path:
    """The one file of `dist/`."""
    built = build_wheel(name, "1.0")
    path = machine.home / "dist" / built.filename
    path.parent.mkdir()
    path.write_bytes(built.data)
    return path


def filenames(server: Server, name: str) -> list[str]:
    """The files of a project, as the group's index lists them."""
    url = f"{server.url}{GROUP}/simple/{name}/"
    reply = ask("GET", url, headers={"Accept": JSON, "PRIVATE-TOKEN": PERSONAL.secret})
    assert reply.status in (200, 404), reply
    return [file["filename"] for file in json.loads(reply.body)["files"]] if reply.status == 200 else []


def token(config: Path, *words: str) -> str:
    """What `token WORDS` prints, beside the server of this config."""
    place = ("--config", config, "--data-dir", config.with_name("data"))
    done = run_program("token", *words, *place, cwd=config.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def reads(server: Server, login: Login) -> bool:
    """The project's index is open to this login: 200; else the server does not know it: 401."""
    basic = base64.b64encode(f"{login.username}:{login.secret}".encode()).decode()
    url = f"{server.url}{PROJECT}/simple/"
    status = ask("GET", url, headers={"Authorization": f"Basic {basic}"}).status
    assert status in (200, 401)
    return status == 200


def twine(machine: Machine, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`twine upload OPTIONS dist/*`, never asking; `env` is what the shell had exported."""
    files = [str(path) for path in sorted((machine.home / "dist").iterdir())]
    exported = [f"{key}={value}" for key, value in env.items()]
    upload = [str(BIN / "twine"), "upload", "--non-interactive", "--disable-progress-bar"]
    return machine.run(["/usr/bin/env", *exported, *upload, *options, *files])


def twine_as(machine: Machine, login: Login, url: str) -> subprocess.CompletedProcess[str]:
    """The documented line of a CI job."""
    return twine(machine, "--repository-url", url, TWINE_USERNAME=login.username, TWINE_PASSWORD=login.secret)


def check_success(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr


def check_unauthorized(done: subprocess.CompletedProcess[str]) -> None:
    """It failed, and its user can read why."""
    assert done.returncode != 0
    assert "401 Unauthorized" in done.stdout + done.stderr


@pytest.mark.parametrize("login", LOGINS.values(), ids=LOGINS)
def test_twine_publishes_with_a_login_from_the_environment(
    server: Server, machine: Machine, name: str, wheel: Path, login: Login
) -> None:
    check_success(twine_as(machine, login, server.url + PROJECT))
    assert filenames(server, name) == [wheel.name]


@pytest.mark.usefixtures("wheel")
@pytest.mark.parametrize("login", REFUSED.values(), ids=REFUSED)
def test_twine_is_told_that_a_login_is_wrong(server: Server, machine: Machine, name: str, login: Login) -> None:
    check_unauthorized(twine_as(machine, login, server.url + PROJECT))
    assert filenames(server, name) == []


def test_twine_publishes_to_the_gitlab_of_its_pypirc(server: Server, machine: Machine, name: str, wheel: Path) -> None:
    sdist = build_sdist(name, "1.0")
    (wheel.parent / sdist.filename).write_bytes(sdist.data)
    (machine.home / ".pypirc").write_text(
        "[distutils]\nindex-servers =\n    gitlab\n\n"
        f"[gitlab]\nrepository = {server.url}{PROJECT}\nusername = __token__\npassword = {PERSONAL.secret}\n"
    )
    check_success(twine(machine, "--repository", "gitlab"))
    assert sorted(filenames(server, name)) == sorted([wheel.name, sdist.filename])
    again = twine(machine, "--repository", "gitlab")
    assert again.returncode != 0
    assert "File name has already been taken" in again.stdout + again.stderr


@pytest.mark.parametrize("login", LOGINS.values(), ids=LOGINS)
def test_twine_publishes_with_a_login_in_the_url(
    server: Server, machine: Machine, name: str, wheel: Path, login: Login
) -> None:
    done = twine(machine, "--repository-url", login.within(server.url + PROJECT_BY_PATH))
    check_success(done)
    assert login.secret not in done.stdout + done.stderr
    assert filenames(server, name) == [wheel.name]


@pytest.mark.parametrize("login", LOGINS.values(), ids=LOGINS)
def test_uv_publishes_with_a_login(server: Server, machine: Machine, name: str, wheel: Path, login: Login) -> None:
    command = ["uv", "publish", "-u", login.username, "-p", login.secret, "--publish-url", server.url + PROJECT]
    check_success(machine.run([*command, str(wheel)]))
    assert filenames(server, name) == [wheel.name]


def test_uv_publish_is_told_that_the_job_token_has_another_user_name(
    server: Server, machine: Machine, name: str, wheel: Path
) -> None:
    command = ["uv", "publish", "--token", JOB.secret, "--publish-url", server.url + PROJECT]  # that is `__token__`
    check_unauthorized(machine.run([*command, str(wheel)]))
    assert filenames(server, name) == []


@pytest.mark.parametrize(("index", "login"), [*zip(INDEXES, [PERSONAL, DEPLOY, JOB, DEPLOY], strict=True)])
def test_pip_installs_a_private_project_without_what_it_needs(
    server: Server, machine: Machine, tmp_path: Path, index: str, login: Login
) -> None:
    url = login.within(f"{server.url}{index}/simple")  # without its last slash, as the documentation has it
    assert machine.pip_install(url, tmp_path / "target", "--no-deps", "acme-app") == {"acme-app": "1.2"}


@pytest.mark.parametrize("index", [PROJECT, GROUP])
def test_what_a_private_project_needs_is_forwarded(
    server: Server, machine: Machine, tmp_path: Path, index: str
) -> None:
    url = DEPLOY.within(f"{server.url}{index}/simple")
    assert machine.pip_install(url, tmp_path / "pip", "acme-app") == STOCK
    assert machine.uv_install(url, tmp_path / "uv", "acme-app") == STOCK


@pytest.mark.parametrize("login", [None, Login("__token__", JOB.secret)], ids=["none", "job token, another user name"])
def test_pip_installs_nothing_with_a_wrong_login_or_with_none(
    server: Server, machine: Machine, tmp_path: Path, login: Login | None
) -> None:
    url = f"{server.url}{PROJECT}/simple"
    index = login.within(url) if login else url
    target = tmp_path / "target"
    done = machine.run([*PIP, "install", "-vv", "--index-url", index, "--target", str(target), "acme-app"])
    assert done.returncode != 0
    assert "401 Client Error: Unauthorized" in done.stdout + done.stderr
    assert installed(target) == {}


@pytest.mark.parametrize("index", [PROJECT, GROUP])
def test_a_requirements_file_names_the_private_index_beside_the_public_one(
    server: Server, public: ThreadedFakeIndex, machine: Machine, tmp_path: Path, index: str
) -> None:
    requirements = machine.home / "requirements.txt"
    requirements.write_text(f"--extra-index-url {JOB.within(f'{server.url}{index}/simple')}\nacme-app\n")
    wanted = ("-r", str(requirements))
    assert machine.pip_install(public.simple_url, tmp_path / "pip", *wanted) == STOCK
    assert machine.uv_install(public.simple_url, tmp_path / "uv", *wanted) == STOCK


@pytest.mark.parametrize("login", [DEPLOY, JOB], ids=["deploy", "job"])
def test_a_netrc_holds_the_login(server: Server, machine: Machine, tmp_path: Path, login: Login) -> None:
    netrc = machine.home / ".netrc"
    netrc.write_text(f"machine 127.0.0.1\nlogin {login.username}\npassword {login.secret}\n")
    netrc.chmod(0o600)
    index = f"{server.url}{GROUP}/simple"
    assert machine.pip_install(index, tmp_path / "pip", "acme-app") == STOCK
    assert machine.uv_install(index, tmp_path / "uv", "acme-app") == STOCK


def test_a_job_token_lives_in_the_running_server_from_its_making_to_its_end(
    server: Server, config: Path, machine: Machine, name: str, wheel: Path
) -> None:
    what = ["--kind", "job", "--scope", "api", "--access", "acme/ml=developer"]
    made = Login(JOB.username, token(config, "create", "--name", "pipeline", *what))
    eventually(lambda: reads(server, made), what="the new token is known", seconds=5)
    check_success(twine_as(machine, made, server.url + PROJECT))
    assert filenames(server, name) == [wheel.name]
    token(config, "revoke", "pipeline")
    eventually(lambda: not reads(server, made), what="the revoked token is refused", seconds=5)
    check_unauthorized(twine_as(machine, made, server.url + PROJECT))
    assert made.secret not in server.stderr
