from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from proxy.core.digests import Digests, Sha256
from proxy.core.distributions import Kind
from proxy.core.local import LocalFile
from proxy.core.model import File
from proxy.core.names import Filename, ProjectName

SHA256 = Sha256("a" * 64)
METADATA_SHA256 = Sha256("b" * 64)
UPLOADED = datetime(2026, 1, 15, 12, tzinfo=UTC)

BARE = LocalFile(
    id=1,
    release_id=1,
    project_id=1,
    name=ProjectName("my-pkg"),
    raw_name="My.Pkg",
    version="1.0",
    filename=Filename("my_pkg-1.0-py3-none-any.whl"),
    kind=Kind.WHEEL,
    digests=Digests(SHA256, "c" * 64, "d" * 32, 1234),
    requires_python="",
    core_metadata=None,
    has_provenance=False,
    uploaded_at=UPLOADED,
    published_by="ci",
)


def test_a_bare_file_is_listed_with_what_it_has_and_no_more() -> None:
    assert BARE.listed() == File(
        filename="my_pkg-1.0-py3-none-any.whl",
        url="",
        hashes={"sha256": SHA256},
        size=1234,
        requires_python=None,
        upload_time=UPLOADED,
        yanked=False,
        core_metadata=False,
        provenance=None,
    )


def test_a_full_file_is_listed_with_all_its_fields() -> None:
    full = replace(BARE, requires_python=">=3.11", core_metadata=METADATA_SHA256, has_provenance=True)
    listed = full.listed()
    assert listed.requires_python == ">=3.11"
    assert listed.core_metadata == {"sha256": METADATA_SHA256}
    assert listed.provenance is not None


@pytest.mark.parametrize(("yanked", "shown"), [(None, False), ("", True), ("broken build", "broken build")])
def test_a_yank_shows_its_reason_where_it_has_one(yanked: str | None, *, shown: bool | str) -> None:
    assert replace(BARE, yanked=yanked).listed().yanked == shown
