"""`python -m tests.soak [SECONDS]`: prints a line every ten seconds, then a summary as text and as JSON."""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.soak.soak import Soak

if TYPE_CHECKING:
    from tests.soak.soak import Summary


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description="Mixed load on a real server; all on 127.0.0.1.")
    parser.add_argument("seconds", type=float, nargs="?", default=60.0)
    parser.add_argument(
        "--seed", type=int, default=secrets.randbits(32), help="what clients want, and the upstream's troubles"
    )
    options = parser.parse_args()
    logging.disable()  # the fake index's, when its clients leave; the server logs for itself
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        summary = Soak(Path(folder), options.seconds, options.seed, _say).run()
    _say(_text(summary))
    _say(json.dumps(summary.as_dict()))
    return 1 if summary.faults else 0


def _text(summary: Summary) -> str:
    ends = (f"  {count:7} {end}" for end, count in summary.ends.items())
    rate = summary.requests / summary.seconds
    head = f"{summary.requests} requests in {summary.seconds:.0f} s ({rate:.0f}/s), seed {summary.seed}"
    return "\n".join([head, *ends, *(f"WRONG {fault}" for fault in summary.faults), _verdict(summary)])


def _verdict(summary: Summary) -> str:
    return f"{len(summary.faults)} faults" if summary.faults else "no wrong answer, no fault of the server, no growth"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    sys.exit(main())
