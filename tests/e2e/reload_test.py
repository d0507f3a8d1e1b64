"""SIGHUP: the config is read again while clients are served, and none of them notices."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.e2e.harness import Server, eventually, forwards_to
from tests.e2e.wire import ask

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake_index import ThreadedFakeIndex

GROUPS = '[groups."default"]\nid = 1\n{setting}\n[projects."default/packages"]\nid = 1\n'
CLIENTS = 4
RELOADS = 6


def write_config(path: Path, upstream: ThreadedFakeIndex, setting: str) -> None:
    path.write_text(forwards_to(upstream) + GROUPS.format(setting=setting))


def status(server: Server, name: str) -> int:
    return ask("GET", f"{server.url}simple/{name}/").status


def reload(server: Server) -> None:
    """Have the config read again, and wait for the log to say what became of it."""
    told = server.stderr.count("the config")
    server.send(signal.SIGHUP)
    eventually(lambda: server.stderr.count("the config") > told, what="the config was looked at")


def test_a_good_config_takes_effect_and_the_log_says_what_changed(upstream: ThreadedFakeIndex, tmp_path: Path) -> None:
    upstream.add_wheel("demo", "1.0")
    config = tmp_path / "config.toml"
    write_config(config, upstream, "")
    with Server(tmp_path / "data", config=config) as server:
        assert status(server, "demo") == 200
        write_config(config, upstream, "forwarding = false")
        server.send(signal.SIGHUP)
        eventually(lambda: status(server, "demo") == 404, what="the group no longer forwards")
        eventually(lambda: "groups.default.forwarding: true -> false" in server.stderr, what="the log tells it")


def test_a_bad_config_changes_nothing_and_every_fault_is_logged(upstream: ThreadedFakeIndex, tmp_path: Path) -> None:
    upstream.add_wheel("demo", "1.0")
    config = tmp_path / "config.toml"
    write_config(config, upstream, "")
    with Server(tmp_path / "data", config=config) as server:
        write_config(config, upstream, 'forwarding = "perhaps"\nnonsense = 1')
        server.send(signal.SIGHUP)
        eventually(lambda: "nonsense" in server.stderr, what="the fault is logged")
        assert "forwarding" in server.stderr
        assert status(server, "demo") == 200
        write_config(config, upstream, "")
        server.send(signal.SIGHUP)
        eventually(lambda: "the config was read again: nothing changed" in server.stderr, what="a good one is taken")


def test_no_request_is_dropped_while_configs_good_and_bad_come_in(upstream: ThreadedFakeIndex, tmp_path: Path) -> None:
    upstream.add_wheel("demo", "1.0", size_padding=300_000)
    config = tmp_path / "config.toml"
    write_config(config, upstream, "")
    with Server(tmp_path / "data", config=config) as server, ThreadPoolExecutor(CLIENTS) as pool:
        done = threading.Event()

        def ask_on() -> list[int]:
            answers = []
            while not done.is_set():
                answers.append(status(server, "demo"))
            return answers

        clients = [pool.submit(ask_on) for _ in range(CLIENTS)]
        try:
            for number in range(RELOADS):
                good = number % 2 == 0
                write_config(config, upstream, f'reserved = ["mine-{number}"]' if good else "nonsense = 1")
                reload(server)
        finally:
            done.set()
        answers = [answer for client in clients for answer in client.result()]
    assert len(answers) > RELOADS
    assert set(answers) == {200}
