"""What wrk prints, read."""

from __future__ import annotations

import pytest

from tests.bench.wrk import parse

REPORT = """Running 2s test @ http://127.0.0.1:8181/simple/six/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     5.10ms    1.32ms  21.04ms   91.04%
    Req/Sec     3.15k   201.90     3.42k    85.00%
  6278 requests in 2.00s, 113.20MB read
{rest}Requests/sec:   3135.90
Transfer/sec:     56.55MB
"""


def test_answers_and_their_seconds() -> None:
    rush = parse(REPORT.format(rest=""))
    assert (rush.answers, rush.seconds, rush.failures) == (6278, 2.0, 0)
    assert rush.per_second == 3139.0


def test_errors_and_broken_connections_are_failures() -> None:
    rest = "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 100\n"
    assert parse(REPORT.format(rest=rest)).failures == 110


def test_a_long_run_counts_in_minutes() -> None:
    assert parse(REPORT.replace("2.00s, ", "1.50m, ").format(rest="")).seconds == 90.0


def test_no_report_is_an_error() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused")
