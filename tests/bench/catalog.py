"""The rows: what is measured, in which unit, and what the product is to reach."""

from __future__ import annotations

from typing import Final

from tests.bench.results import Better, Goal, Row

PRODUCT: Final = "pypi-sidecar"
STATIC: Final = "nginx static"
CACHE: Final = "nginx cache"
AIOHTTP: Final = "aiohttp"
PYPIRON: Final = "pypiron"

_RATE: Final = "requests/s"
_WARM: Final = (Goal(1.5, AIOHTTP), Goal(1.3, PYPIRON), Goal(0.5, STATIC))
_MORE, _LESS = Better.MORE, Better.LESS

TABLE: Final = (
    Row("six", "warm page six, 18 KB of JSON", _RATE, "warm", _MORE, _WARM),
    Row("six-gzip", "the same as gzip", _RATE, "warm", _MORE, _WARM),
    Row("six-304", "the same, unchanged: 304", _RATE, "warm", _MORE, _WARM),
    Row("requests", "warm page requests, 94 KB", _RATE, "warm", _MORE, _WARM),
    Row("boto3", "warm page boto3, 1.7 MB", _RATE, "warm", _MORE, (Goal(1, AIOHTTP),)),
    Row("cpu", "server CPU for 1,000 warm pages six", "s", "warm", _LESS, (Goal(0.022),)),
    Row("small", "file of 10 KB", _RATE, "warm", _MORE, (Goal(2.5, AIOHTTP),)),
    Row("large-1", "file of 200 MB, 1 client", "GB/s", "large", _MORE, (Goal(0.9, STATIC),)),
    Row("large-8", "file of 200 MB, 8 clients", "GB/s", "large", _MORE, (Goal(0.9, STATIC),)),
    Row("large-cpu-1", "server CPU for a GB, 1 client", "s", "large", _LESS, (Goal(0.2),)),
    Row("large-cpu-8", "server CPU for a GB, 8 clients", "s", "large", _LESS, (Goal(0.2),)),
    Row("large-memory", "memory that serving 200 MB adds to the peak", "MB", "large", _LESS, (Goal(20),)),
    Row("cold-boto3", "cold page boto3", "s", "cold", _LESS, (Goal(0.06),)),
    Row("wait-boto3", "another client's longest wait during boto3", "ms", "cold", _LESS, (Goal(20),)),
    Row("cold-ddtrace", "cold page ddtrace, 21 MB", "s", "cold", _LESS, (Goal(0.4),)),
    Row("wait-ddtrace", "another client's longest wait during ddtrace", "ms", "cold", _LESS, (Goal(20),)),
    Row("wait-quiet", "its longest wait in a second without a cold page", "ms", "cold", _LESS),
    Row("peak-ddtrace", "peak memory after cold pages boto3 and ddtrace", "MB", "cold", _LESS, (Goal(160),)),
    Row("cold-memory", "of which these pages added", "MB", "cold", _LESS, (Goal(3 * 21.4),)),
    Row("cold-file", "first byte of a cold file after a direct download's", "ms", "cold-file", _LESS, (Goal(3),)),
    Row("gets-20", "upstream GETs for 20 clients of a cold file", "", "cold-file", _LESS, (Goal(1),)),
    Row("gets-100", "upstream GETs for 100 clients of a cold file", "", "cold-file", _LESS, (Goal(1),)),
    Row("gets-page", "upstream GETs for 20 clients of a cold page", "", "cold-file", _LESS, (Goal(1),)),
    Row("workers-gets-20", "a file for 20 at once, two workers", "", "cold-file", _LESS, (Goal(1),)),
    Row("workers-gets-100", "a file for 100 at once, two workers", "", "cold-file", _LESS, (Goal(1),)),
    Row("workers-gets-page", "a page for 20 at once, two workers", "", "cold-file", _LESS, (Goal(1),)),
    Row("start", "start to first answer", "s", "start", _LESS, (Goal(0.6),)),
    Row("idle", "idle memory (Pss), a second after it", "MB", "start", _LESS, (Goal(60),)),
    Row("workers-pages", "two workers on two cores over one: warm pages", "x", "workers", _MORE, (Goal(1.8),)),
    Row("workers-credential", "the same, pages asked with a credential", "x", "workers", _MORE, (Goal(1.8),)),
    Row("uv", "uv pip install jupyterlab, warm cache, fresh client", "s", "installs", _LESS, (Goal(1, CACHE),)),
    Row("uv-cpu", "server CPU for this", "s", "installs", _LESS),
    Row("peak", "peak memory of any process of the run", "MB", "peak", _LESS, (Goal(160),)),
)

FILES: Final = (10, 100, 1_000, 10_000, 50_000)
CONNECTIONS: Final = (1, 16, 64, 256, 500)
PROJECTS: Final = (10, 100, 1_000, 10_000, 100_000)

GROWTH: Final = (
    *(
        row
        for count in FILES
        for row in (
            Row(f"files/{count}/warm", f"page of {count:,} files, warm", _RATE, "growth-files", _MORE),
            Row(f"files/{count}/cold", f"page of {count:,} files, cold", "s", "growth-files", _LESS),
        )
    ),
    *(
        Row(f"connections/{count}/six", f"page six, {count} connections", _RATE, "growth-connections", _MORE)
        for count in CONNECTIONS
    ),
    *(
        row
        for count in PROJECTS
        for row in (
            Row(f"projects/{count}/page", f"a page among {count:,} projects", _RATE, "growth-projects", _MORE),
            Row(f"projects/{count}/index", f"root index of {count:,} projects", _RATE, "growth-projects", _MORE),
            Row(f"projects/{count}/first", f"first root index of {count:,} projects", "s", "growth-projects", _LESS),
        )
    ),
)

ROWS: Final = {row.key: row for row in (*TABLE, *GROWTH)}
