"""The warm lane answers what was answered before, and only while it would be answered so again."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proxy import compose as composition
from proxy.config import load_config
from proxy.core.model import ProjectStatus, Status
from proxy.core.names import ProjectName
from proxy.services import grounds, local_memory
from proxy.sqlite.store import FILENAME, open_store
from proxy.web import warm as lane
from proxy.web.site import CURRENT
from tests.contracts.samples import NOW, new_file
from tests.fake_index import Gate
from tests.fakes.clock import FakeClock
from tests.web.conftest import ENVIRON
from tests.web.server import JSON, eventually, forwards_to
from tests.web.twins import MakeTwins, Twins, get

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake_index import FakeIndex

PAGE = get("/simple/demo/", f"Accept: {JSON}")
ROOT = get("/simple/", f"Accept: {JSON}")
LOCAL = get("/simple/mine/", f"Accept: {JSON}")


def in_group(key: str) -> str:
    """The built-in group with one key more, and its project."""
    return f'[groups.default]\nid = 1\n{key}\n[projects."default/packages"]\nid = 1\n'


@pytest.fixture(autouse=True)
def _long_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine must not make the lane forget."""
    monkeypatch.setattr(grounds, "MAX_AGE", 60.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(composition, "SystemClock", lambda: clock)
    return clock


@pytest.fixture
async def twins(make_twins: MakeTwins, index: FakeIndex, clock: FakeClock) -> Twins:  # noqa: ARG001 - time stands still
    index.add_wheel("demo", "1.0")
    return await make_twins(forwards_to(index))


async def ask_until_warm(twins: Twins, *requests: bytes) -> None:
    """As often as it takes for the lane to answer each of them."""
    for request in requests:
        for _ in range(2):
            await twins.warm.ask(request)
        before = twins.warm_answers
        await twins.warm.ask(request)
        assert twins.warm_answers == before + 1, request


class TestSameAnswer:
    async def test_a_page_is_the_same_in_both_lanes(self, twins: Twins) -> None:
        await ask_until_warm(twins, PAGE)
        answer = await twins.ask(PAGE)
        assert (answer.status, twins.warm_answers) == (200, 4)

    @pytest.mark.parametrize("accept", [JSON, "text/html", "*/*", "application/vnd.pypi.simple.v1+html"])
    @pytest.mark.parametrize("encoding", ["gzip", "zstd", "identity"])
    async def test_in_each_form(self, twins: Twins, accept: str, encoding: str) -> None:
        request = get("/simple/demo/", f"Accept: {accept}", f"Accept-Encoding: {encoding}")
        await ask_until_warm(twins, request)
        await twins.ask(request)

    async def test_not_modified(self, twins: Twins) -> None:
        etag = (await twins.warm.ask(PAGE)).field("ETag")
        request = get("/simple/demo/", f"Accept: {JSON}", f"If-None-Match: {etag}")
        await ask_until_warm(twins, request)
        assert (await twins.ask(request)).status == 304

    async def test_the_root_index(self, twins: Twins) -> None:
        await ask_until_warm(twins, ROOT)
        await twins.ask(ROOT)

    async def test_a_small_file_and_its_metadata(self, twins: Twins, index: FakeIndex) -> None:
        wheel = index.add_wheel("demo", "2.0")
        path = f"/files/{wheel.sha256}/{wheel.filename}"
        for request, data in ((get(path), wheel.data), (get(f"{path}.metadata"), wheel.metadata)):
            await ask_until_warm(twins, request)
            assert (await twins.ask(request)).body == data

    async def test_over_http_1_0_that_keeps_alive(self, twins: Twins) -> None:
        request = get("/simple/demo/", "Connection: keep-alive", version="1.0")
        await ask_until_warm(twins, request)
        await twins.ask(request)

    async def test_each_has_an_id_of_its_own(self, twins: Twins) -> None:
        await ask_until_warm(twins, PAGE)
        assert len({(await twins.warm.ask(PAGE)).field("X-Request-Id") for _ in range(5)}) == 5


class TestSlowLane:
    """What the lane leaves to the slow one."""

    @pytest.mark.parametrize(
        "request_",
        [
            pytest.param(get("/simple/demo/", "Connection: close"), id="close"),
            pytest.param(get("/simple/demo/", version="1.0"), id="HTTP/1.0"),
            pytest.param(get("/simple/demo/", "PRIVATE-TOKEN: glpat-x"), id="a token"),
            pytest.param(get("/simple/demo/", "Deploy-Token: gldt-x"), id="a deploy token"),
            pytest.param(get("/simple/demo/", "Authorization: Basic YTpi"), id="a password"),
            pytest.param(get("/simple/demo/?private_token=x"), id="a token in the query"),
            pytest.param(get("/simple/Demo/"), id="a redirect"),
            pytest.param(get("/simple/nope/"), id="not there"),
            pytest.param(get("/-/health"), id="health"),
            pytest.param(PAGE.replace(b"GET", b"HEAD"), id="HEAD"),
            pytest.param(get("/simple/demo/", "Content-Length: 3") + b"abc", id="a body"),
            pytest.param(get("/simple/demo/", "X-Long: " + 5000 * "x"), id="a long head"),
        ],
    )
    async def test_is_never_learnt(self, twins: Twins, request_: bytes) -> None:
        for _ in range(3):
            await twins.warm.ask(request_)
        assert twins.warm_answers == 0

    async def test_a_body_that_comes_later_is_no_request(self, twins: Twins) -> None:
        """Its head alone is the same each time; were it answered by that, its body would be heard as a request."""
        head, body = get("/simple/demo/", f"Content-Length: {len(PAGE)}"), PAGE
        for _ in range(3):
            assert (await twins.warm.ask(head, body)).status == 200
        assert (await twins.warm.ask(get("/-/health"))).status == 200
        assert twins.warm_answers == 0

    async def test_what_comes_in_pieces_is_answered_once(self, twins: Twins) -> None:
        await ask_until_warm(twins, PAGE)
        before = twins.warm_answers
        for cut in (1, 10, len(PAGE) - 2):
            assert (await twins.ask(PAGE[:cut], PAGE[cut:])).status == 200
        assert twins.warm_answers == before

    async def test_what_looks_like_a_request_inside_of_one_is_none(self, twins: Twins) -> None:
        """The second piece is a head that the lane knows, and the value of a header field of another request."""
        await ask_until_warm(twins, PAGE)
        answer = await twins.ask(b"GET /-/health HTTP/1.1\r\nX-Inner: ", PAGE)
        assert b'"status": "ok"' in answer.body

    @pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
    async def test_half_a_head_behind_a_whole_one_is_no_beginning(
        self, twins: Twins, index: FakeIndex, *, known: bool
    ) -> None:
        """Else what the second request is answered with would be learnt as the answer to the bytes that end it."""
        if known:
            await ask_until_warm(twins, PAGE)
        before = twins.warm_answers
        index.add_wheel("other", "1.0")
        other = b"GET /simple/other/ HTTP/1.1\r\nX-Inner: "
        for wire in (twins.slow, twins.warm):
            wire.close()
            await wire.ask(get("/-/health") + other)
            assert b'"name":"other"' in (await wire.ask(PAGE)).body  # the head of `demo` ended that of `other`
        assert twins.warm_answers == before
        assert b'"name":"demo"' in (await twins.warm.ask(PAGE)).body

    async def test_half_a_head_while_another_is_answered_is_no_beginning(self, twins: Twins, index: FakeIndex) -> None:
        index.add_wheel("slow", "1.0")
        await ask_until_warm(twins, PAGE)
        gate = index.fault(Gate(), "/simple/slow/")
        twins.warm.send(get("/simple/slow/", f"Accept: {JSON}"))
        await gate.waiting()
        twins.warm.send(b"GET /simple/other/ HTTP/1.1\r\nX-Inner: ")
        await asyncio.sleep(0.05)  # until it was heard; a moment too short would prove less
        gate.open()
        assert (await twins.warm.read()).status == 200
        before = twins.warm_answers
        assert (await twins.warm.ask(PAGE)).status == 404
        assert twins.warm_answers == before

    async def test_what_comes_together_is_answered_in_order(self, twins: Twins) -> None:
        await ask_until_warm(twins, PAGE, ROOT)
        first = await twins.warm.ask(PAGE + ROOT + PAGE)
        second, third = await twins.warm.read(), await twins.warm.read()
        assert [b'"name":"demo"' in answer.body for answer in (first, second, third)] == [True, False, True]

    async def test_who_asks_on_while_an_answer_is_made_waits_for_it(self, twins: Twins, index: FakeIndex) -> None:
        """A slow answer, and behind it one that the lane knows: in the order of the questions."""
        index.add_wheel("slow", "1.0")
        await ask_until_warm(twins, PAGE)
        twins.warm.send(get("/simple/slow/", f"Accept: {JSON}"))
        await eventually(lambda: index.count("GET", "/simple/slow/") == 1)
        twins.warm.send(PAGE)
        first, second = await twins.warm.read(), await twins.warm.read()
        assert (b'"name":"slow"' in first.body, b'"name":"demo"' in second.body) == (True, True)


class TestChange:
    """Another answer is due, and given by the next request."""

    async def test_an_upload(self, twins: Twins) -> None:
        await ask_until_warm(twins, ROOT)
        await twins.server._store.publish(new_file("mine"), root=1, now=NOW)
        assert b"mine" in (await twins.ask(ROOT)).body

    async def test_a_local_name_shadows_what_was_warm(self, twins: Twins) -> None:
        """No dependency confusion, also not for one more request."""
        await ask_until_warm(twins, PAGE)
        await twins.server._store.publish(new_file("demo", "0.1"), root=1, now=NOW)
        assert b"demo-0.1-" in (await twins.ask(PAGE)).body

    async def test_a_yank_and_a_status(self, twins: Twins) -> None:
        file = await twins.server._store.publish(new_file("mine"), root=1, now=NOW)
        await ask_until_warm(twins, LOCAL)
        await twins.server._store.save_yank([file.id], "broken")
        assert b'"yanked":"broken"' in (await twins.ask(LOCAL)).body
        await twins.server._store.save_status(1, ProjectName("mine"), ProjectStatus(Status.QUARANTINED))
        assert b'"files":[]' in (await twins.ask(LOCAL)).body

    async def test_what_another_process_publishes(self, twins: Twins, data_dir: Path) -> None:
        await ask_until_warm(twins, PAGE)
        async with open_store(data_dir / FILENAME) as other:
            await other.publish(new_file("demo", "0.1"), root=1, now=NOW)
        assert b"demo-0.1-" in (await twins.ask(PAGE)).body

    async def test_a_page_that_expires(self, twins: Twins, index: FakeIndex, clock: FakeClock) -> None:
        await ask_until_warm(twins, PAGE)
        index.add_wheel("demo", "2.0")
        clock.advance(minutes=9, seconds=59)
        assert (await twins.ask(PAGE)).field("Cache-Status") == "pypi-sidecar; hit; ttl=1"
        clock.advance(seconds=1)
        assert b"demo-2.0-" in (await twins.warm.ask(PAGE)).body

    async def test_core_metadata_that_was_read_out_of_a_wheel(self, twins: Twins, index: FakeIndex) -> None:
        wheel = index.add_wheel("poor", "1.0", core_metadata=False)
        page = get("/simple/poor/", f"Accept: {JSON}")
        await ask_until_warm(twins, page)
        assert b"core-metadata" not in (await twins.ask(page)).body
        await twins.slow.ask(get(f"/files/{wheel.sha256}/{wheel.filename}.metadata"))
        assert b"core-metadata" in (await twins.ask(page)).body

    async def test_a_clock_that_was_set_back(self, twins: Twins, clock: FakeClock) -> None:
        await ask_until_warm(twins, PAGE)
        clock.advance(minutes=-1)
        before = twins.warm_answers
        await twins.warm.ask(PAGE)
        assert twins.warm_answers == before

    async def test_a_file_that_its_page_lists_no_more(self, twins: Twins, index: FakeIndex, clock: FakeClock) -> None:
        wheel = index.add_wheel("demo", "2.0")
        request = get(f"/files/{wheel.sha256}/{wheel.filename}")
        await ask_until_warm(twins, request)
        index.remove_file(wheel)
        clock.advance(minutes=11)
        assert (await twins.ask(request)).status == 404

    async def test_a_file_that_grows_old_enough(
        self, make_twins: MakeTwins, index: FakeIndex, clock: FakeClock
    ) -> None:
        index.add_wheel("demo", "1.0", upload_time=clock.now())
        twins = await make_twins(forwards_to(index) + in_group('min_age = "2m"'))
        await ask_until_warm(twins, PAGE)
        assert b'"files":[]' in (await twins.ask(PAGE)).body
        clock.advance(minutes=3)
        assert b"demo-1.0-" in (await twins.ask(PAGE)).body

    async def test_a_config_that_denies_it(self, twins: Twins) -> None:
        await ask_until_warm(twins, PAGE)
        await reload(twins, in_group('deny = ["demo"]'))
        assert (await twins.ask(PAGE)).status == 404

    async def test_a_config_that_takes_the_reader_out(self, twins: Twins) -> None:
        await ask_until_warm(twins, PAGE)
        await reload(twins, '[access]\nanonymous = "none"\n')
        assert (await twins.ask(PAGE)).status == 401

    async def test_the_first_upstream_has_it_by_now(
        self, make_twins: MakeTwins, index: FakeIndex, clock: FakeClock
    ) -> None:
        """`other` had none when the page of `pypi` counted."""
        index.add_wheel("demo", "1.0")
        other = forwards_to(index, "other", url=f'"{index.simple_url}nothing/"')
        toml = forwards_to(index) + other + in_group('upstreams = ["other", "pypi"]')
        twins = await make_twins(toml)
        await ask_until_warm(twins, PAGE)
        asked = index.count("GET", "/simple/nothing/demo/")
        clock.advance(minutes=2)  # an absence is believed for one
        await twins.warm.ask(PAGE)
        assert index.count("GET", "/simple/nothing/demo/") == asked + 1

    async def test_all_is_looked_at_anew_after_a_while(self, twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that was killed in a publication has told nobody."""
        await ask_until_warm(twins, PAGE)
        monkeypatch.setattr(grounds, "MAX_AGE", 0.0)
        monkeypatch.setattr(local_memory, "MAX_AGE", 0.0)
        before = twins.warm_answers
        await twins.ask(PAGE)
        assert twins.warm_answers == before


async def reload(twins: Twins, more: str) -> None:
    file = twins._config.server.data_dir.with_name("config.toml")
    file.write_text(file.read_text() + more)
    loaded = load_config(file, ENVIRON, server={"data_dir": str(twins._config.server.data_dir)})
    await twins.server.configure(replace(loaded))


class TestBookkeeping:
    async def test_what_it_answers_is_logged_as_any_answer(
        self, twins: Twins, caplog: pytest.LogCaptureFixture
    ) -> None:
        await ask_until_warm(twins, PAGE)
        caplog.clear()
        with caplog.at_level(logging.INFO, "proxy.access"):
            request_id = (await twins.warm.ask(PAGE)).field("X-Request-Id")
            await asyncio.sleep(0)
            other = (await twins.slow.ask(PAGE)).field("X-Request-Id")
            await asyncio.sleep(0)
        warm, slow = (record.getMessage() for record in caplog.records if record.name == "proxy.access")
        assert warm.startswith("127.0.0.1 GET /simple/demo/ 200 ")
        assert without_time(warm).replace(f"{request_id}", "*") == without_time(slow).replace(f"{other}", "*")

    async def test_what_it_answers_is_counted_as_any_answer(self, twins: Twins) -> None:
        await ask_until_warm(twins, PAGE)
        board = twins.server._meters.board
        counts = []
        for wire in (twins.warm, twins.slow):
            before = board.read()
            await wire.ask(PAGE)
            # All but the connections, and the buckets and the sum of the time that it took.
            counts.append([round(now - was) for was, now in zip(before, board.read(), strict=True)])
        warm, slow = counts
        assert sum(warm) == sum(slow) > 0

    async def test_a_use_of_a_cached_file_is_noted(self, twins: Twins, index: FakeIndex, clock: FakeClock) -> None:
        wheel = index.add_wheel("demo", "2.0")
        request = get(f"/files/{wheel.sha256}/{wheel.filename}")
        await ask_until_warm(twins, request)
        await twins.server._cache_uses.flush()
        clock.advance(seconds=30)
        await twins.warm.ask(request)
        await twins.server._cache_uses.flush()
        [used] = [each for each in await twins.server._store.list_least_used(10) if each.sha256 == wheel.sha256]
        assert used.used_at == clock.now()

    async def test_what_is_remembered_is_bounded(self, twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lane, "MAX_SIZE", 5000)
        for number in range(20):
            request = get("/simple/demo/", f"X-Number: {number}")
            for _ in range(2):
                await twins.warm.ask(request)
        assert 0 < len(twins.lane._answers) <= 4
        assert twins.lane._room <= 5000

    async def test_a_reload_leaves_nothing_of_the_old_config_in_memory(self, twins: Twins) -> None:
        await ask_until_warm(twins, PAGE)
        old = weakref.ref(twins.server.app[CURRENT].site.pages)
        await reload(twins, "")
        await twins.ask(PAGE)
        gc.collect()
        assert old() is None


def without_time(line: str) -> str:
    return " ".join(word for word in line.split() if not word.endswith("ms"))
