"""`serve --workers 2`: to clients and to the upstream it is one server, whichever process answers."""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.builders import build_wheel
from tests.e2e.crew import SIZE, CrewServer, crowd
from tests.e2e.harness import FORWARDS_NOTHING, PATIENCE, eventually, forwards_to, run_program
from tests.e2e.wire import JSON, ask, check_intact, list_files, list_projects, upload
from tests.fake_index import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeAlias

    from tests.e2e.wire import ListedFile
    from tests.fake_index import ThreadedFakeIndex

    ServeCrew: TypeAlias = Callable[..., CrewServer]

CLIENTS = 100
BASIC_WRONG = {"PRIVATE-TOKEN": "wrong"}
PRIVATE = '[groups.default]\nid = 1\nvisibility = "private"\n[projects."default/packages"]\nid = 1\n'
SHORT = '[cache]\npage_ttl = "5s"\n'


@pytest.fixture
def serve_crew(tmp_path: Path) -> Iterator[ServeCrew]:
    """Starts servers on one data directory, which the test's end stops."""
    started: list[CrewServer] = []

    def start(config: str = FORWARDS_NOTHING) -> CrewServer:
        started.append(CrewServer(tmp_path / "data", config).__enter__())
        return started[-1]

    yield start
    for server in started:
        server.__exit__(None)


def page(server: CrewServer, name: str) -> int:
    return ask("GET", f"{server.url}simple/{name}/", headers={"Accept": JSON}).status


def parts(server: CrewServer) -> list[Path]:
    return list((server.data_dir / "parts").iterdir())


def path_of(file: ListedFile) -> str:
    return "/" + file.url.split("/", 3)[3]


def download(file: ListedFile) -> bool:
    """Whether all of it came; it must be right then."""
    try:
        reply = ask("GET", file.url)
    except (OSError, http.client.HTTPException):
        return False
    if reply.status == 200:
        assert hashlib.sha256(reply.body).hexdigest() == file.sha256
    return reply.status == 200


@contextmanager
def begun(server: CrewServer, file: ListedFile) -> Iterator[list[http.client.HTTPResponse]]:
    """Answers for a file whose bodies are still to be read, each on a connection of its own."""
    with ExitStack() as stack:
        connections = [
            stack.enter_context(closing(http.client.HTTPConnection(server.netloc, timeout=PATIENCE)))
            for _ in range(16)
        ]
        for connection in connections:
            connection.request("GET", path_of(file))
        yield [stack.enter_context(closing(connection.getresponse())) for connection in connections]


# One for all


@pytest.mark.parametrize("size", [1_000, 3_000_000], ids=["small", "large"])
def test_a_crowd_at_a_cold_file_makes_one_download(
    serve_crew: ServeCrew, upstream: ThreadedFakeIndex, size: int
) -> None:
    upstream.add_wheel("demo", "1.0", size_padding=size)
    server = serve_crew(forwards_to(upstream))
    (file,) = list_files(f"{server.url}simple/demo/")
    gate = upstream.fault(Gate(after=size // 2), "*.whl")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(download, file)
        gate.block_until_waiting()
        rest = pool.submit(crowd, lambda: download(file), CLIENTS)
        gate.open()
        assert first.result()
        assert all(rest.result())
    assert upstream.count("GET", "*.whl") == 1
    assert len(server.answered(path_of(file))) == SIZE
    eventually(lambda: parts(server) == [], what="no part is left")


def test_bytes_reach_the_clients_of_all_workers_while_they_come(
    serve_crew: ServeCrew, upstream: ThreadedFakeIndex
) -> None:
    upstream.add_wheel("demo", "1.0", size_padding=1_000_000)
    server = serve_crew(forwards_to(upstream))
    (file,) = list_files(f"{server.url}simple/demo/")
    gate = upstream.fault(Gate(after=500_000), "*.whl")
    with begun(server, file) as responses:
        heads = [response.read(400_000) for response in responses]
        gate.open()
        whole = [head + response.read() for head, response in zip(heads, responses, strict=True)]
    assert {hashlib.sha256(data).hexdigest() for data in whole} == {file.sha256}
    assert upstream.count("GET", "*.whl") == 1
    eventually(lambda: len(server.answered(path_of(file))) == SIZE, what="both have logged it")


def test_a_crowd_at_a_page_makes_one_fetch_and_one_more_when_it_has_expired(
    serve_crew: ServeCrew, upstream: ThreadedFakeIndex
) -> None:
    upstream.add_wheel("demo", "1.0")
    server = serve_crew(forwards_to(upstream) + SHORT)
    assert set(crowd(lambda: page(server, "demo"), CLIENTS)) == {200}
    assert upstream.count("GET", "/simple/demo/") == 1
    gate = upstream.fault(Gate(after=None), "/simple/demo/", times=1)
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(
            lambda: eventually(lambda: page(server, "demo") == 200 and gate.arrived > 0, what="expiry")
        )
        gate.block_until_waiting()
        rest = pool.submit(crowd, lambda: page(server, "demo"), CLIENTS)
        gate.open()
        asking.result()
        assert set(rest.result()) == {200}
    assert upstream.count("GET", "/simple/demo/") == 2
    assert len(server.answered("/simple/demo/")) == SIZE


def test_a_page_that_one_worker_has_fetched_is_the_page_of_all(
    serve_crew: ServeCrew, upstream: ThreadedFakeIndex
) -> None:
    upstream.add_wheel("demo", "1.0")
    server = serve_crew(forwards_to(upstream) + '[cache]\npage_ttl = "0s"\n')
    server.until_all_answer()
    crowd(lambda: page(server, "demo"), 20)
    upstream.add_wheel("demo", "2.0")
    for _ in range(20):
        newest = list_files(f"{server.url}simple/demo/")[-1]
        check_intact(newest)


def test_a_name_that_the_upstream_has_not_is_asked_for_once(
    serve_crew: ServeCrew, upstream: ThreadedFakeIndex
) -> None:
    server = serve_crew(forwards_to(upstream))
    server.until_all_answer()
    assert set(crowd(lambda: page(server, "nothing"), CLIENTS)) == {404}
    assert [page(server, "nothing") for _ in range(20)] == [404] * 20
    assert upstream.count("GET", "/simple/nothing/") == 1
    assert len(server.answered("/simple/nothing/")) == SIZE


def test_what_is_published_and_deleted_is_seen_by_all_at_once(serve_crew: ServeCrew) -> None:
    server = serve_crew()
    server.until_all_answer()
    for number in range(10):
        name = f"demo-{number}"
        built = build_wheel(name, "1.0")
        assert [page(server, name) for _ in range(6)] == [404] * 6
        assert upload(f"{server.url}legacy/", name, "1.0", built).status == 201
        assert [page(server, name) for _ in range(6)] == [200] * 6
        assert all(name in list_projects(f"{server.url}simple/") for _ in range(6))
        (file,) = list_files(f"{server.url}simple/{name}/")
        check_intact(file)
    for name in ("demo-3", "demo-7"):
        words = ("delete", "default/packages", f"{name}==1.0", "--data-dir", server.data_dir)
        done = run_program(*words, cwd=server.data_dir.parent)
        assert done.returncode == 0, done.stderr
        assert [page(server, name) for _ in range(6)] == [404] * 6
    assert len(server.answered()) == SIZE


def test_guesses_count_whichever_worker_hears_them(serve_crew: ServeCrew) -> None:
    server = serve_crew(FORWARDS_NOTHING + PRIVATE)
    server.until_all_answer()
    guesses = [ask("GET", f"{server.url}simple/", headers=BASIC_WRONG).status for _ in range(60)]
    assert guesses == [401] * 50 + [429] * 10


# Trouble


def test_a_worker_that_is_killed_is_replaced(serve_crew: ServeCrew, upstream: ThreadedFakeIndex) -> None:
    upstream.add_wheel("demo", "1.0")
    server = serve_crew(forwards_to(upstream))
    for _ in range(2):
        server.until_all_answer()
        before = server.workers
        killed = min(before)
        server.kill_worker(killed)
        eventually(lambda: killed not in server.workers and len(server.workers) == SIZE, what="another took its place")  # noqa: B023
        assert len(server.workers - before) == 1
        assert [page(server, "demo") for _ in range(20)] == [200] * 20
    server.until_all_answer()
    server.terminate()


@pytest.mark.parametrize("victim", [min, max], ids=["one", "the-other"])
def test_a_worker_that_is_killed_in_a_download_spoils_no_file(
    serve_crew: ServeCrew, upstream: ThreadedFakeIndex, victim: Callable[[set[int]], int]
) -> None:
    upstream.add_wheel("demo", "1.0", size_padding=2_000_000)
    server = serve_crew(forwards_to(upstream))
    server.until_all_answer()
    (file,) = list_files(f"{server.url}simple/demo/")
    gate = upstream.fault(Gate(after=1_500_000), "*.whl")
    with ThreadPoolExecutor() as pool:
        rest = pool.submit(crowd, lambda: download(file), 20)
        gate.block_until_waiting()
        eventually(lambda: any(part.stat().st_size for part in parts(server)), what="bytes of it are on disk")
        server.kill_worker(victim(server.workers))
        gate.open()
        rest.result()  # whatever came whole was right
    server.until_all_answer()
    check_intact(file)
    check_intact(file)
    assert upstream.count("GET", "*.whl") <= 2
    eventually(lambda: parts(server) == [], what="what it left is swept")


def test_all_end_with_their_parent_and_the_next_start_finds_the_directory_free(
    serve_crew: ServeCrew, upstream: ThreadedFakeIndex
) -> None:
    upstream.add_wheel("demo", "1.0")
    server = serve_crew(forwards_to(upstream))
    assert page(server, "demo") == 200
    server.kill()
    again = serve_crew(forwards_to(upstream))
    assert page(again, "demo") == 200
    again.terminate()


def test_running_downloads_of_all_workers_are_finished_before_it_stops(
    serve_crew: ServeCrew, upstream: ThreadedFakeIndex
) -> None:
    upstream.add_wheel("demo", "1.0", size_padding=500_000)
    server = serve_crew(forwards_to(upstream))
    (file,) = list_files(f"{server.url}simple/demo/")
    gate = upstream.fault(Gate(after=100_000), "*.whl")
    with begun(server, file) as responses:
        server.send(signal.SIGTERM)
        eventually(lambda: refused(server), what="the server refuses new connections")
        assert server.process.poll() is None
        gate.open()
        assert {hashlib.sha256(response.read()).hexdigest() for response in responses} == {file.sha256}
    assert server.wait() == 0, server.stderr
    assert len(server.answered(path_of(file))) == SIZE


def refused(server: CrewServer) -> bool:
    try:
        ask("GET", f"{server.url}-/health")
    except OSError as error:  # reset where it waited in the queue that was closed
        return isinstance(error, ConnectionRefusedError)
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_to_the_whole_group_stops_it_too(serve_crew: ServeCrew, number: signal.Signals) -> None:
    """As a terminal sends it."""
    server = serve_crew()
    os.killpg(server.process.pid, number)
    assert server.wait() == 0, server.stderr


# Reload


def test_a_config_that_is_read_again_counts_in_all_workers_and_in_those_to_come(
    serve_crew: ServeCrew, upstream: ThreadedFakeIndex
) -> None:
    upstream.add_wheel("demo", "1.0")
    server = serve_crew(forwards_to(upstream))
    server.until_all_answer()
    assert page(server, "demo") == 200
    config = server.data_dir.with_suffix(".toml")
    good = config.read_text()
    config.write_text(good.replace("workers = 2", "workers = 3") + "[forwarding]\nenabled = false\n")
    server.send(signal.SIGHUP)
    eventually(lambda: "forwarding.enabled: true -> false" in server.stderr, what="the log tells it")
    eventually(lambda: Counter(page(server, "demo") for _ in range(20)) == {404: 20}, what="all go by it")
    assert server.stderr.count("the config was read again") == 1
    assert "server.workers: 2 -> 3 (takes effect when the server is started again)" in server.stderr

    config.write_text("nonsense = 1")
    server.send(signal.SIGHUP)
    eventually(lambda: "nonsense" in server.stderr, what="the fault is logged")
    server.kill_worker(min(server.workers))
    server.until_all_answer()
    assert [page(server, "demo") for _ in range(20)] == [404] * 20
    assert server.stderr.count("nonsense") == 1


# Starting


def test_prints_its_one_line_when_all_workers_answer(serve_crew: ServeCrew) -> None:
    server = serve_crew()
    assert len(server.workers) == SIZE
    server.until_all_answer()
    server.terminate()
    assert server.stdout == f"listening on {server.url}\n"


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        (["--data-dir", "data", "--host", "0.0.0.0"], 2, "access.anonymous"),
        (["--data-dir", "file/below"], 1, "is not a directory"),
        (["--data-dir", "data", "--host", "192.0.2.1"], 1, "cannot listen"),
    ],
)
def test_what_keeps_it_from_starting_is_told_once(tmp_path: Path, options: list[str], status: int, told: str) -> None:
    (tmp_path / "file").touch()
    done = run_program("serve", "--workers", "2", "--port", "0", *options, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.count(told) == 1
    assert len(done.stderr.splitlines()) == 1


def test_a_port_and_a_directory_in_use_are_told(serve_crew: ServeCrew, tmp_path: Path) -> None:
    server = serve_crew()
    taken = server.netloc.partition(":")[2]
    for data_dir, port, told in ("other", taken, f"127.0.0.1:{taken}"), ("data", "0", str(server.data_dir)):
        for workers in ("1", "2"):
            done = run_program("serve", "--workers", workers, "--data-dir", data_dir, "--port", port, cwd=tmp_path)
            assert done.returncode == 1
            assert told in done.stderr
            assert "in use" in done.stderr
