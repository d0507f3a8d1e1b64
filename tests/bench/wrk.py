"""`wrk`: many requests over connections that are kept alive."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.bench.cores import LOAD, pinned

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CONNECTIONS: Final = 16
_DONE: Final = re.compile(r"^\s+(\d+) requests in ([\d.]+)(us|ms|s|m)\b", re.MULTILINE)
_REFUSED: Final = re.compile(r"^\s+Non-2xx or 3xx responses: (\d+)", re.MULTILINE)
_BROKEN: Final = re.compile(r"^\s+Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", re.MULTILINE)
_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


class Rush(NamedTuple):
    """What came of it: answers, in how many seconds, how many were errors or broke off."""

    answers: int
    seconds: float
    failures: int

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds


def rush(
    url: str,
    headers: Mapping[str, str],
    seconds: float,
    *,
    connections: int = CONNECTIONS,
    cores: Collection[int] = LOAD,
) -> Rush:
    """Ask as often as answers come; one thread of wrk for each of the cores."""
    options = ["-t", str(len(cores)), "-c", str(connections), "-d", f"{max(1, round(seconds))}s", "--timeout", "10s"]
    asked = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    ended = subprocess.run(
        pinned(cores, "wrk", *options, *asked, url),
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=True,
    )
    return parse(ended.stdout)


def parse(output: str) -> Rush:
    """What wrk printed; raises ValueError where that is no report."""
    done = _DONE.search(output)
    if done is None:
        raise ValueError(f"wrk said {output!r}")
    refused = _REFUSED.search(output)
    broken = _BROKEN.search(output)
    failures = sum(map(int, (*(refused.groups() if refused else ()), *(broken.groups() if broken else ()))))
    return Rush(int(done[1]), float(done[2]) * _SECONDS[done[3]], failures)
