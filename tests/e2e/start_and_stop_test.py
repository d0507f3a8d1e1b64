from __future__ import annotations

import http.client
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from proxy.cli.running import GRACE
from tests.e2e.harness import PATIENCE, eventually, forwards_to
from tests.e2e.wire import ask, check_intact, list_files
from tests.fake_index import Gate

if TYPE_CHECKING:
    from tests.e2e.harness import Serve, Server
    from tests.fake_index import ThreadedFakeIndex

AT_ONCE = 5.0
"""Seconds: well under the grace that running requests get."""


def refuses_connections(server: Server) -> bool:
    host, _, port = server.netloc.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_prints_the_port_that_it_picked_once_it_answers(serve: Serve) -> None:
    server = serve()
    assert not server.netloc.endswith(":0")
    assert ask("GET", f"{server.url}-/health").status == 200


def test_prints_one_line_to_stdout_whatever_it_is_asked_then(serve: Serve) -> None:
    server = serve()
    for path in ("simple/", "simple/nothing/", "-/readiness", "nowhere"):
        ask("GET", server.url + path)
    server.terminate()
    assert server.stdout == f"listening on {server.url}\n"


def test_says_on_stderr_how_pip_and_uv_use_it(serve: Serve) -> None:
    server = serve()
    server.terminate()
    index = f"{server.url}simple/"
    lines = server.stderr.splitlines()
    assert any(line.startswith("pip install") and f"--index-url {index}" in line for line in lines)
    assert any(line.startswith("uv pip install") and f"--default-index {index}" in line for line in lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_to_stop_is_obeyed_at_once_by_an_idle_server(serve: Serve, number: signal.Signals) -> None:
    server = serve()
    with closing(http.client.HTTPConnection(server.netloc, timeout=PATIENCE)) as kept_alive:
        kept_alive.request("GET", "/-/health")
        kept_alive.getresponse().read()
        server.send(number)
        assert server.wait(AT_ONCE) == 0, server.stderr


def test_a_running_download_is_finished_before_it_stops(serve: Serve, upstream: ThreadedFakeIndex) -> None:
    upstream.add_wheel("demo", "1.0", size_padding=500_000)
    gate = upstream.fault(Gate(after=100_000), "*.whl")
    server = serve(forwards_to(upstream))
    (file,) = list_files(f"{server.url}simple/demo/")
    with ThreadPoolExecutor() as pool:
        download = pool.submit(check_intact, file)
        gate.block_until_waiting()
        server.send(signal.SIGTERM)
        eventually(lambda: refuses_connections(server), what="the server refuses new connections")
        assert server.process.poll() is None
        gate.open()
        download.result(PATIENCE)
    assert server.wait() == 0, server.stderr


@pytest.mark.slow
def test_a_download_that_does_not_end_holds_it_up_no_longer_than_the_grace(
    serve: Serve, upstream: ThreadedFakeIndex
) -> None:
    upstream.add_wheel("demo", "1.0", size_padding=500_000)
    gate = upstream.fault(Gate(after=100_000), "*.whl")
    server = serve(forwards_to(upstream))
    (file,) = list_files(f"{server.url}simple/demo/")
    with ThreadPoolExecutor() as pool:
        download = pool.submit(ask, "GET", file.url)
        gate.block_until_waiting()
        server.send(signal.SIGTERM)
        assert server.wait(GRACE + AT_ONCE) == 0, server.stderr
        assert isinstance(download.exception(PATIENCE), http.client.HTTPException | OSError)
