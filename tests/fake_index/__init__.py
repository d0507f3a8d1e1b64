"""A fake upstream: a real server of the Simple API on 127.0.0.1 with a second host for files, faults and a memory.

In use:

    async with FakeIndex() as index:                       # or `with ThreadedFakeIndex() as index` without a loop
        wheel = index.add_wheel("six", "1.16", upload_time=None)
        ...                                                # point something at index.simple_url
        assert index.count("GET", "/simple/six/") == 1

        index.fault(Status(503), "/simple/six/", times=2)  # trouble for the next two
        gate = index.fault(Gate(after=1000), "*.whl")      # stops in mid-file...
        await gate.waiting()                               # ...and once somebody has got so far
        gate.open()                                        # goes on

        await index.down()                                 # connections are refused
"""

from __future__ import annotations

from tests.fake_index.catalogue import File, FileFields
from tests.fake_index.connection_faults import EndlessHead, NotHttp, Reset, Snap
from tests.fake_index.dialect import POOR, PYPI, Dialect
from tests.fake_index.exchange import Answer, Ask, Host
from tests.fake_index.faults import (
    BrokenGzip,
    Delivery,
    Drip,
    Endless,
    Fault,
    Gate,
    GzipBomb,
    Hang,
    HtmlError,
    InvalidJson,
    Redirect,
    RedirectLoop,
    Refuse,
    Rewrite,
    Status,
    Truncated,
    WrongBytes,
    WrongType,
)
from tests.fake_index.index import Controls, FakeIndex, ThreadedFakeIndex
from tests.fake_index.page_faults import OlderPage, ShorterPage

__all__ = [
    "POOR",
    "PYPI",
    "Answer",
    "Ask",
    "BrokenGzip",
    "Controls",
    "Delivery",
    "Dialect",
    "Drip",
    "Endless",
    "EndlessHead",
    "FakeIndex",
    "Fault",
    "File",
    "FileFields",
    "Gate",
    "GzipBomb",
    "Hang",
    "Host",
    "HtmlError",
    "InvalidJson",
    "NotHttp",
    "OlderPage",
    "Redirect",
    "RedirectLoop",
    "Refuse",
    "Reset",
    "Rewrite",
    "ShorterPage",
    "Snap",
    "Status",
    "ThreadedFakeIndex",
    "Truncated",
    "WrongBytes",
    "WrongType",
]
