"""Faults of the upstream that come and go."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from tests.fake_index import (
    BrokenGzip,
    Drip,
    Hang,
    HtmlError,
    InvalidJson,
    RedirectLoop,
    Refuse,
    Status,
    Truncated,
    WrongBytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random
    from types import TracebackType
    from typing import Self

    from tests.fake_index import Fault, ThreadedFakeIndex

AFTERMATH: Final = 10.0
"""Seconds: what is asked so soon after a fault may still suffer from it, by what was cut or is not asked again yet."""

_PAGE_FAULTS: Final[tuple[Callable[[], Fault], ...]] = (
    lambda: Status(500),
    lambda: Status(503, {"Retry-After": "1"}),
    lambda: Status(429, {"Retry-After": "1"}),
    HtmlError,
    InvalidJson,
    BrokenGzip,
    Truncated,
    Refuse,
    Hang,
    lambda: Drip(size=64, delay=0.05),
)
_FILE_FAULTS: Final[tuple[Callable[[], Fault], ...]] = (
    lambda: Status(503),
    WrongBytes,
    RedirectLoop,
    Truncated,
    Refuse,
    lambda: Hang(after=1000),
    lambda: Drip(size=4096, delay=0.02),
)


class Weather:
    """Inside the block, `foul` seconds of faults follow `fair` ones without, again and again."""

    def __init__(self, index: ThreadedFakeIndex, random: Random, *, fair: float, foul: float) -> None:
        self._index = index
        self._random = random
        self._fair = fair
        self._foul = foul
        self._last_fault = float("-inf")
        self._is_foul = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._change, name="weather")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def may_have_hit(self, began: float) -> bool:
        """Whether what began then, by the monotonic clock, and ends now may have met with a fault."""
        return self._is_foul or self._last_fault + AFTERMATH > began

    def _change(self) -> None:
        while not self._ending.wait(self._fair):
            self._is_foul = True
            self._break()
            self._ending.wait(self._foul)
            self._mend()
            self._last_fault = time.monotonic()
            self._is_foul = False

    def _break(self) -> None:
        if self._random.random() < 0.2:
            self._index.down()
            return
        self._index.fault(self._random.choice(_PAGE_FAULTS)(), "/simple/*")
        self._index.fault(self._random.choice(_FILE_FAULTS)(), "/packages/*")

    def _mend(self) -> None:
        self._index.clear_faults()
        self._index.up()
        self._index.clear_requests()  # a memory that grew would be this process's, not the server's
