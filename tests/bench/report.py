"""Results as tables of Markdown, as JSON, and as `docs/performance.md`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from tests.bench.catalog import CONNECTIONS, FILES, GROWTH, PRODUCT, PROJECTS, ROWS, TABLE
from tests.bench.results import holds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.results import Goal, Results, Row

_MARK: Final = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_VERDICT: Final = {True: "yes", False: "**no**", None: "?"}


def main_table(results: Results) -> str:
    """A line for each row that was measured, a column for each server."""
    servers = results.servers()
    lines = [
        ["what", "unit", *servers, "goal", "reached"],
        ["---", "---", *["---:"] * len(servers), "---", "---"],
    ]
    rows = [row for row in TABLE if row.key in results.rows()]
    return _join([*lines, *(_line(row, results, servers) for row in rows)]) if rows else ""


def gaps(results: Results) -> str:
    """Why some have no value."""
    told: dict[str, list[str]] = {}
    for (row, server), why in results.gaps.items():
        told.setdefault(f"{server}: {why}", []).append(ROWS[row].title)
    return "\n".join(f"- {what} ({'; '.join(titles)})" for what, titles in told.items())


def growth_tables(results: Results) -> str:
    """One table for each thing that grows."""
    axes = (
        ("files", "files of a page", FILES, {"warm": "warm, requests/s", "cold": "cold, s"}),
        ("connections", "connections", CONNECTIONS, {"six": "page six, requests/s"}),
        (
            "projects",
            "local projects",
            PROJECTS,
            {"page": "a page, requests/s", "index": "root index, requests/s", "first": "first root index, s"},
        ),
    )
    found = results.rows() & {row.key for row in GROWTH}
    tables = []
    for axis, title, counts, kinds in axes:
        if any(key.startswith(f"{axis}/") for key in found):
            lines = [[title, *kinds.values()], ["---:"] * (1 + len(kinds))]
            lines += [
                [f"{count:,}", *(_cell(results, f"{axis}/{count}/{kind}", PRODUCT) for kind in kinds)]
                for count in counts
            ]
            tables.append(_join(lines))
    return "\n\n".join(tables)


def machine_table(machine: Mapping[str, str]) -> str:
    return _join([["", ""], ["---", "---"], *([name, value] for name, value in machine.items())])


def fill_in(document: str, parts: Mapping[str, str]) -> str:
    """The document with these parts between their marks; raises KeyError for a mark that no part is for."""
    return _MARK.sub(lambda mark: f"{mark[1]}{parts[mark[2]]}\n{mark[3]}", document)


def as_json(results: Results, machine: Mapping[str, str]) -> str:
    """Every round of every row."""
    rows = [
        {
            "row": row.key,
            "title": row.title,
            "unit": row.unit,
            "servers": {
                server: {"median": results.value(row.key, server), "rounds": list(rounds)}
                for (key, server), rounds in results.samples.items()
                if key == row.key
            },
            "missing": {server: why for (key, server), why in results.gaps.items() if key == row.key},
            "goals": [
                {"goal": goal.describe(row.better), "reached": holds(goal, row, results, PRODUCT)}
                for goal in row.goals
            ],
        }
        for row in ROWS.values()
        if row.key in results.rows()
    ]
    return json.dumps({"machine": machine, "rows": rows}, indent=1)


def figure(value: float) -> str:
    """Three digits that count, whole numbers from a hundred on."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _line(row: Row, results: Results, servers: Sequence[str]) -> list[str]:
    cells = (_cell(results, row.key, server) for server in servers)
    goals = "<br>".join(_describe(goal, row, results) for goal in row.goals)
    reached = "<br>".join(_VERDICT[holds(goal, row, results, PRODUCT)] for goal in row.goals)
    return [row.title, row.unit, *cells, goals, reached]


def _describe(goal: Goal, row: Row, results: Results) -> str:
    """With what it is now, where it is a ratio."""
    said = goal.describe(row.better)
    value, peer = results.value(row.key, PRODUCT), results.value(row.key, goal.peer)
    return f"{said} (is {value / peer:.2f})" if goal.peer and value is not None and peer else said


def _cell(results: Results, row: str, server: str) -> str:
    value = results.value(row, server)
    if value is not None:
        return figure(value)
    return "n/a" if (row, server) in results.gaps else ""


def _join(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
