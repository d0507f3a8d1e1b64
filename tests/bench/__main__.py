"""`python -m tests.bench`: measures, prints the table, writes it with every round to a folder."""

from __future__ import annotations

import argparse
import logging
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.bench.bench import Bench, choose_servers
from tests.bench.catalog import ROWS
from tests.bench.cores import pin_this_process
from tests.bench.machine import describe_machine
from tests.bench.processes import NotAvailable
from tests.bench.report import as_json, fill_in, gaps, growth_tables, machine_table, main_table
from tests.bench.results import collect
from tests.bench.session import Options

ROOT = Path(__file__).parents[2]


def main() -> int:
    options = _parser().parse_args()
    logging.disable()
    wanted = Options(options.only, options.rounds, options.seconds)
    if complaint := _complaint(wanted, doc=options.doc):
        _tell(complaint)
        return 2
    missing = [name for name in ("wrk", "taskset") if shutil.which(name) is None]
    if missing:
        _tell(f"{' and '.join(missing)} not found: apt-get install wrk nginx-light")
        return 2
    servers = choose_servers(options.peers)
    machine = describe_machine() | {"run": f"{options.rounds} rounds, wrk {options.seconds:g} s in each"}
    pin_this_process()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what was started, empties what was written
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(wanted, servers, options.cache, _tell)
        try:
            results = collect(bench.run(Path(folder)))
        except NotAvailable as error:  # what all rows need: nginx, the recorded pages
            _tell(str(error))
            return 2
    parts = {
        "machine": machine_table(machine),
        "table": main_table(results),
        "gaps": gaps(results),
        "growth": growth_tables(results),
    }
    text = "\n\n".join(part for part in parts.values() if part)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench.md").write_text(f"{text}\n")
    (options.out / "bench.json").write_text(f"{as_json(results, machine)}\n")
    if options.doc:
        document = ROOT / "docs" / "performance.md"
        document.write_text(fill_in(document.read_text(), parts))
    print(text)  # noqa: T201 - its output
    return 0


def _complaint(wanted: Options, *, doc: bool) -> str:
    """What is wrong with what was asked for; empty when nothing is."""
    if unknown := wanted.unknown():
        return f"no row is called {', '.join(unknown)}; there are {', '.join(ROWS)}"
    if doc and not all(map(wanted.wants, ROWS)):
        return "--doc writes the tables of one whole run: leave out --only"
    return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures the server beside its peers.")
    parser.add_argument("--only", default="*", help="rows to measure, as patterns: six*,cold-*,files/*")
    parser.add_argument("--peers", default="all", help="all, none, or names with commas: aiohttp,proxpi")
    parser.add_argument("--rounds", type=int, default=3, help="how often each server has its turn (3)")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long wrk asks in each turn (2)")
    parser.add_argument("--out", type=Path, default=ROOT / ".bench" / "out", help="where bench.md and bench.json go")
    parser.add_argument("--cache", type=Path, default=ROOT / ".bench", help="recorded pages and installed peers")
    parser.add_argument("--doc", action="store_true", help="write the tables into docs/performance.md too")
    return parser


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - what it is doing


if __name__ == "__main__":
    sys.exit(main())
