"""Lines of the access log are those that `logging` would write."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from typing import TYPE_CHECKING

import pytest

from proxy.cli.access_lines import AccessLines
from proxy.cli.logs import JsonFormatter, set_up_logging
from proxy.config.schema import Log, LogFormat, LogLevel
from proxy.web.access_log import LOGGER, AccessLog, Answered, log_each

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIRST = Answered(1_780_000_000.25, "127.0.0.1", "GET", "/simple/six/", "200", 0.00123, "ab12", "pypi-sidecar; hit")
ANSWERS = [
    FIRST,
    FIRST._replace(at=1_780_000_000.999, status="404"),
    FIRST._replace(at=1_780_000_061.0, method="HEAD"),
]


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    level = LOGGER.level
    LOGGER.setLevel(logging.INFO)
    yield
    LOGGER.setLevel(level)


def logged(answers: Sequence[Answered], formatter: logging.Formatter) -> str:
    """What a handler with this formatter writes of them."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    for answered in answers:
        record = LOGGER.makeRecord(LOGGER.name, logging.INFO, "", 0, "%s", (answered.line,), None)
        record.created, record.msecs = answered.at, answered.at % 1 * 1000
        handler.emit(record)
    return stream.getvalue()


def written(answers: Sequence[Answered], form: LogFormat) -> str:
    stream = io.StringIO()
    AccessLines(stream, form)(answers)
    return stream.getvalue()


def test_text_is_as_logging_writes_it() -> None:
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    assert written(ANSWERS, LogFormat.TEXT) == logged(ANSWERS, formatter)


def test_json_is_as_logging_writes_it() -> None:
    lines = written(ANSWERS, LogFormat.JSON)
    assert lines == logged(ANSWERS, JsonFormatter())
    assert json.loads(lines.splitlines()[1])["message"].startswith("127.0.0.1 GET /simple/six/ 404 1.2ms ab12 [")


def test_a_level_that_wants_none_gets_none() -> None:
    LOGGER.setLevel(logging.WARNING)
    assert written(ANSWERS, LogFormat.TEXT) == ""


def test_the_configs_level_counts() -> None:
    root, chatty = logging.getLogger(), logging.getLogger("aiosqlite")
    before, level, chatter = root.handlers[:], root.level, chatty.level
    LOGGER.setLevel(logging.NOTSET)
    try:
        set_up_logging(Log(level=LogLevel.ERROR))
        assert written(ANSWERS, LogFormat.TEXT) == ""
    finally:
        root.handlers = before
        root.setLevel(level)
        chatty.setLevel(chatter)


def test_a_stream_that_takes_nothing_is_no_reason_to_fail() -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        AccessLines(stream, LogFormat.TEXT)(ANSWERS)


async def test_what_one_turn_of_the_loop_brings_is_written_together() -> None:
    batches: list[int] = []
    log = AccessLog(lambda answers: batches.append(len(answers)))
    for _ in range(3):
        log.note(FIRST)
    assert batches == []
    await asyncio.sleep(0)
    log.note(FIRST)
    await asyncio.sleep(0)
    assert batches == [3, 1]


def test_without_a_writer_of_its_own_each_is_a_record(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, LOGGER.name):
        log_each(ANSWERS)
    assert [record.getMessage() for record in caplog.records] == [answered.line for answered in ANSWERS]
