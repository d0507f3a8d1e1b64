"""Steps of a running program that a test can have it die at.

Three floors of them: each call of a port's method (`store.publish`, `part.commit`), each statement by which SQLite
changes the database (`sql.INSERT`), each call to the operating system that changes the data directory (`os.replace`).
The program itself knows nothing of it.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from collections import Counter
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from inspect import iscoroutinefunction
from threading import Lock
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from proxy import compose
from tests.crash.points import Moment, Point

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path
    from types import ModuleType

_P = ParamSpec("_P")
_T = TypeVar("_T")

_SYSTEM_CALLS = ("open", "write", "fsync", "replace", "rename", "link", "unlink", "mkdir", "rmdir", "ftruncate")
_CHANGE = re.compile(
    r"(?:\s|--[^\n]*\n)*(BEGIN|COMMIT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|VACUUM"
    r"|PRAGMA (?:user_version|application_id|journal_mode)(?= *=))"
)


class Steps:
    """Counts the steps of this process, from any thread; writes each point down, or dies at one."""

    def __init__(self, die_at: Point | None, record: Path | None) -> None:
        self._die_at = die_at
        self._record = record.open("ab", buffering=0) if record else None
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def begin(self, step: str) -> int:
        """The step's number, for `end`."""
        with self._lock:
            self._counts[step] += 1
            number = self._counts[step]
        self._pass(Point(Moment.BEFORE, step, number))
        return number

    def end(self, step: str, number: int) -> None:
        self._pass(Point(Moment.AFTER, step, number))

    def _pass(self, point: Point) -> None:
        if self._record:
            self._record.write(f"{point}\n".encode())
        if point == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalPort:
    """A port whose async methods are steps, `NAME.METHOD`, and so are those of the parts it hands out."""

    def __init__(self, port: object, name: str, steps: Steps) -> None:
        self._port = port
        self._name = name
        self._steps = steps

    def __getattr__(self, attribute: str) -> object:
        method = getattr(self._port, attribute)
        if not iscoroutinefunction(method):
            return method
        step = f"{self._name}.{attribute}"

        async def called(*args: object, **kwargs: object) -> object:
            number = self._steps.begin(step)
            result = await method(*args, **kwargs)
            self._steps.end(step, number)
            return MortalPort(result, "part", self._steps) if attribute == "writer" else result

        return called


def install(steps: Steps) -> None:
    """From now on each step of this process is counted; there is no way back."""
    _wrap(compose, "open_store", lambda opener: _mortal_opener(opener, "store", steps))
    _wrap(compose, "open_blob_store", lambda opener: _mortal_opener(opener, "blobs", steps))
    _wrap(sqlite3, "connect", lambda connect: _traced(connect, steps))
    for call in _SYSTEM_CALLS:
        _wrap(os, call, partial(_mortal, step=f"os.{call}", steps=steps))


def _wrap(owner: ModuleType, name: str, wrap: Callable[[Callable[..., Any]], object]) -> None:
    setattr(owner, name, wrap(getattr(owner, name)))


def _mortal_opener(
    open_port: Callable[[Path], AbstractAsyncContextManager[object]], name: str, steps: Steps
) -> Callable[[Path], AbstractAsyncContextManager[MortalPort]]:
    @asynccontextmanager
    async def opened(path: Path) -> AsyncIterator[MortalPort]:
        async with open_port(path) as port:
            yield MortalPort(port, name, steps)

    return opened


def _traced(connect: Callable[_P, sqlite3.Connection], steps: Steps) -> Callable[_P, sqlite3.Connection]:
    def trace(statement: str) -> None:
        if change := _CHANGE.match(statement):
            steps.begin(f"sql.{change[1].replace(' ', '_')}")

    def connected(*args: _P.args, **kwargs: _P.kwargs) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.set_trace_callback(trace)
        return connection

    return connected


def _mortal(call: Callable[_P, _T], step: str, steps: Steps) -> Callable[_P, _T]:
    def called(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        steps.begin(step)
        return call(*args, **kwargs)

    return called
