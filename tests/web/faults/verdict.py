"""Whether an answer is the one that the table promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.web.faults.table import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.web.faults.subjects import Kind, Subject
    from tests.web.server import Answer


def fits(outcome: Outcome, subject: Subject, kind: Kind, answer: Answer | None, before: Answer | None = None) -> bool:
    """Whether this is `outcome`; `answer` None was broken off, `before` is what was answered before the fault."""
    if answer is None:
        return outcome in {Outcome.CUT, Outcome.RESUME}
    checks: Mapping[Outcome, Callable[[], bool]] = {
        Outcome.ERROR: lambda: is_error(answer),
        Outcome.CUT: lambda: is_error(answer),
        Outcome.RESUME: lambda: is_error(answer) or subject.is_right(kind, answer),
        Outcome.ABSENT: lambda: answer.status == 404,
        Outcome.RIGHT: lambda: subject.is_right(kind, answer) and "; fwd=" in cache_status(answer),
        Outcome.TOLD: lambda: subject.wheel.filename not in answer.page.filenames,
        Outcome.STALE: lambda: is_as_before(answer, before) and "detail=stale-if-error" in cache_status(answer),
        Outcome.HIT: lambda: is_as_before(answer, before) and cache_status(answer) == "pypi-sidecar; hit",
    }
    return checks[outcome]()


def is_error(answer: Answer) -> bool:
    """An error that can be read, is tried again and never kept."""
    return (
        answer.status in {502, 503}
        and bool(answer.message)
        and answer.headers["Cache-Control"] == "no-store"
        and int(answer.headers["Retry-After"]) > 0
    )


def is_as_before(answer: Answer, before: Answer | None) -> bool:
    return (
        before is not None
        and answer.status == 200
        and (answer.body, answer.headers["ETag"]) == (before.body, before.headers["ETag"])
    )


def cache_status(answer: Answer) -> str:
    return answer.headers.get("Cache-Status", "")


def shown(answer: Answer | None) -> str:
    """An answer in the report of a test."""
    return f"{answer.status} {cache_status(answer)!r} {answer.body[:80]!r}" if answer else "broken off"
