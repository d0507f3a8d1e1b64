"""A server that wants a token from everybody: each client publishes and installs with one, and not without."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.e2e.harness import Server, forwards_to
from tests.e2e.matrix.installers import INSTALLERS, Index, Installer
from tests.e2e.matrix.publishers import PUBLISHERS, Publisher, Target
from tests.e2e.matrix.workplace import ClientFailed, Login, words
from tests.e2e.wire import ask, upload_form

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.matrix.workplace import Workplace
    from tests.fake_index import ThreadedFakeIndex

LOGIN = Login("__token__", "a-secret-of-the-matrix")
AUTHORIZATION = "Basic " + base64.b64encode(f"{LOGIN.username}:{LOGIN.password}".encode()).decode()
CONFIG = f"""
[access]
anonymous = "none"
[[tokens]]
name = "matrix"
sha256 = "{hashlib.sha256(LOGIN.password.encode()).hexdigest()}"
scopes = ["read_package_registry", "write_package_registry"]
access = {{ "default" = "developer" }}
"""
APP = {"acme-secret": "1.0", "public-lib": "2.0"}


@pytest.fixture(scope="module")
def server(public: ThreadedFakeIndex, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("private")
    (path / "config.toml").write_text(forwards_to(public) + CONFIG)
    with Server(path / "data", config=path / "config.toml") as server:
        publish_secret(server)
        yield server


def publish_secret(server: Server) -> None:
    built = build_wheel("acme-secret", "1.0", requires_dist=["public-lib"])
    content_type, body = upload_form("acme-secret", "1.0", built)
    headers = {"Content-Type": content_type, "Authorization": AUTHORIZATION}
    assert ask("POST", f"{server.url}legacy/", headers=headers, body=body).status == 201


@pytest.mark.parametrize("installer", INSTALLERS.values(), ids=INSTALLERS)
def test_a_client_installs_with_a_token_that_no_lock_holds(
    server: Server, workplace: Workplace, tmp_path: Path, installer: Installer
) -> None:
    index = Index(f"{server.url}simple/", LOGIN)
    project = installer.start(workplace, tmp_path / "project", index, "acme-secret")
    installer.lock(workplace, project, index)
    installer.sync(workplace, project, index)
    assert project.installed == APP
    assert LOGIN.password not in installer.read_lock(project)


@pytest.mark.parametrize("installer", INSTALLERS.values(), ids=INSTALLERS)
def test_a_client_installs_nothing_without_a_token(
    server: Server, workplace: Workplace, tmp_path: Path, installer: Installer
) -> None:
    index = Index(f"{server.url}simple/")
    project = installer.start(workplace, tmp_path / "project", index, "acme-secret")
    with pytest.raises(ClientFailed):
        installer.lock(workplace, project, index)
    assert project.installed == {}


@pytest.mark.parametrize("publisher", PUBLISHERS.values(), ids=PUBLISHERS)
def test_a_client_publishes_with_a_token_alone(
    server: Server, workplace: Workplace, tmp_path: Path, publisher: Publisher
) -> None:
    url, page = f"{server.url}legacy/", f"{server.url}simple/acme-{publisher.client}/"
    project = publisher.build(workplace, tmp_path / "project", f"acme-{publisher.client}")
    done = publisher.publish(workplace, project, Target(url, page))
    assert done.returncode != 0
    assert ask("GET", page, headers={"Authorization": AUTHORIZATION}).status == 404
    done = publisher.publish(workplace, project, Target(url, page, LOGIN))
    assert done.returncode == 0, words(done)
    assert ask("GET", page, headers={"Authorization": AUTHORIZATION}).status == 200
