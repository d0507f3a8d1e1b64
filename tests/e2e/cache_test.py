"""What was fetched once is there without the upstream, for clients that know nothing yet."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import sha256s
from tests.e2e.harness import ALWAYS_ASK, UNREACHABLE, forwards_to

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.clients import Machine
    from tests.e2e.harness import Serve
    from tests.fake_index import ThreadedFakeIndex

APP = {"acme-app": "2.0", "acme-lib": "1.5", "acme-tool": "0.3"}


@pytest.fixture
def app(upstream: ThreadedFakeIndex) -> ThreadedFakeIndex:
    """An application that needs a library that needs a tool that must be built."""
    upstream.add_wheel("acme-app", "2.0", requires_dist=["acme-lib>=1,<2"], size_padding=300_000)
    upstream.add_wheel("acme-app", "1.0")
    upstream.add_wheel("acme-lib", "1.5", requires_dist=["acme_tool"])
    upstream.add_wheel("acme-lib", "2.0", requires_python=">=3.11")
    upstream.add_sdist("acme-tool", "0.3")
    return upstream


def test_pip_downloads_the_same_files_when_the_upstream_is_down(
    serve: Serve, app: ThreadedFakeIndex, new_machine: Callable[[], Machine], tmp_path: Path
) -> None:
    index = f"{serve(forwards_to(app)).url}simple/"
    fetched = new_machine().pip_download(index, tmp_path / "online", "acme-app")
    assert set(fetched) == {
        "acme_app-2.0-py3-none-any.whl",
        "acme_lib-1.5-py3-none-any.whl",
        "acme_tool-0.3.tar.gz",
    }
    app.down()
    assert new_machine().pip_download(index, tmp_path / "offline", "acme-app") == fetched


def test_pip_installs_when_the_upstream_is_down(
    serve: Serve, app: ThreadedFakeIndex, new_machine: Callable[[], Machine], tmp_path: Path
) -> None:
    index = f"{serve(forwards_to(app) + ALWAYS_ASK).url}simple/"
    assert new_machine().pip_install(index, tmp_path / "online", "acme-app") == APP
    app.down()
    assert new_machine().pip_install(index, tmp_path / "offline", "acme-app") == APP


def test_uv_installs_the_same_files_when_the_upstream_is_down(
    serve: Serve, app: ThreadedFakeIndex, new_machine: Callable[[], Machine], tmp_path: Path
) -> None:
    index = f"{serve(forwards_to(app) + ALWAYS_ASK).url}simple/"
    online, offline = tmp_path / "online", tmp_path / "offline"
    assert new_machine().uv_install(index, online, "acme-app") == APP
    app.down()
    assert new_machine().uv_install(index, offline, "acme-app") == APP
    assert sha256s(offline) == sha256s(online)


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_the_cache_outlives_the_server_and_the_upstreams_url(
    serve: Serve, app: ThreadedFakeIndex, new_machine: Callable[[], Machine], tmp_path: Path, end: str
) -> None:
    first = serve(forwards_to(app))
    fetched = new_machine().pip_download(f"{first.url}simple/", tmp_path / "online", "acme-app")
    new_machine().uv_install(f"{first.url}simple/", tmp_path / "target", "acme-app")
    first.terminate() if end == "terminate" else first.kill()
    app.clear_requests()

    index = f"{serve(UNREACHABLE + ALWAYS_ASK).url}simple/"
    assert new_machine().pip_download(index, tmp_path / "offline", "acme-app") == fetched
    assert new_machine().uv_install(index, tmp_path / "offline-target", "acme-app") == APP
    assert app.requests == []


def test_a_restart_with_the_upstream_down_serves_pip_and_uv(
    serve: Serve, app: ThreadedFakeIndex, new_machine: Callable[[], Machine], tmp_path: Path
) -> None:
    config = forwards_to(app)
    first = serve(config)
    fetched = new_machine().pip_download(f"{first.url}simple/", tmp_path / "online", "acme-app")
    first.terminate()
    app.down()
    index = f"{serve(config).url}simple/"
    assert new_machine().pip_download(index, tmp_path / "offline", "acme-app") == fetched
    assert new_machine().uv_install(index, tmp_path / "target", "acme-app") == APP


def test_clients_at_the_same_time_cause_one_download_a_file(
    serve: Serve, app: ThreadedFakeIndex, new_machine: Callable[[], Machine], tmp_path: Path
) -> None:
    index = f"{serve(forwards_to(app)).url}simple/"
    with ThreadPoolExecutor() as pool:
        installs = [
            pool.submit(new_machine().uv_install, index, tmp_path / f"target-{number}", "acme-app")
            for number in range(4)
        ]
    assert [install.result() for install in installs] == [APP] * len(installs)
    asked = Counter(request.path for request in app.requests)
    assert {path for path, times in asked.items() if times > 1} == set()
