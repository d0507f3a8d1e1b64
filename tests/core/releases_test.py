from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from proxy.core.digests import Digests, sha256_of
from proxy.core.distributions import Kind
from proxy.core.local import LocalFile
from proxy.core.names import Filename, ProjectName
from proxy.core.releases import FileOrder, Page, search_words, sort_files

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def file(file_id: int, filename: str, minutes: int = 0) -> LocalFile:
    return LocalFile(
        id=file_id,
        release_id=1,
        project_id=1,
        name=ProjectName("demo"),
        raw_name="demo",
        version="1.0",
        filename=Filename(filename),
        kind=Kind.WHEEL,
        digests=Digests(sha256_of(b""), "", "", 0),
        requires_python="",
        core_metadata=None,
        has_provenance=False,
        uploaded_at=NOW + timedelta(minutes=minutes),
        published_by="",
    )


BETA, ALPHA, GAMMA, TWIN = file(1, "beta", 2), file(2, "alpha", 3), file(3, "gamma", 1), file(4, "delta", 1)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (FileOrder.ID, [BETA, ALPHA, GAMMA, TWIN]),
        (FileOrder.CREATED_AT, [GAMMA, TWIN, BETA, ALPHA]),
        (FileOrder.FILE_NAME, [ALPHA, BETA, TWIN, GAMMA]),
    ],
)
def test_files_are_sorted_both_ways(order: FileOrder, expected: list[LocalFile]) -> None:
    files = [TWIN, GAMMA, BETA, ALPHA]
    assert sort_files(files, order) == expected
    assert sort_files(files, order, descending=True) == expected[::-1]


@pytest.mark.parametrize(
    ("text", "words"),
    [("", ()), ("  ", ()), ("Demo", ("demo",)), ("My_._Pkg", ("my-pkg",)), (" a  B.\n", ("a", "b-"))],
)
def test_a_search_is_in_the_spelling_of_normalized_names(text: str, words: tuple[str, ...]) -> None:
    assert search_words(text) == words


def test_a_page_begins_where_the_one_before_ends() -> None:
    assert [Page(number, 20).offset for number in (1, 2, 3)] == [0, 20, 40]
