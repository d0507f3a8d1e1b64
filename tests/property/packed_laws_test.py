"""A page says the same whether its files are packed or not."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

import hypothesis.strategies as st
import pytest
from hypothesis import given
from msgspec import structs

from proxy.core import packed
from proxy.core.negotiate import Representation
from proxy.core.packed import PackedFiles, pack
from proxy.core.render import render_detail
from proxy.sqlite.page_codec import decode_detail, encode_detail
from tests.property.strategies import details

if TYPE_CHECKING:
    from proxy.core.model import ProjectDetail


def packed_by_two(detail: ProjectDetail) -> ProjectDetail:
    with patch.object(packed, "MAX_LOOSE", -1), patch.object(packed, "_CHUNK", 2):
        files = pack(detail.files)
    assert isinstance(files, PackedFiles)
    return structs.replace(detail, files=files)


@given(details())
def test_packing_loses_nothing(detail: ProjectDetail) -> None:
    assert packed_by_two(detail) == detail


@given(
    detail=details(), upstream_urls=st.booleans(), base_url=st.sampled_from(["", "https://index.example/simple/demo/"])
)
@pytest.mark.parametrize("representation", Representation)
def test_both_are_the_same_page(
    representation: Representation, detail: ProjectDetail, *, upstream_urls: bool, base_url: str
) -> None:
    one, other = (
        render_detail(each, representation, upstream_urls=upstream_urls, base_url=base_url)
        for each in (detail, packed_by_two(detail))
    )
    assert one == other


@given(details())
async def test_both_are_kept(detail: ProjectDetail) -> None:
    for each in (detail, packed_by_two(detail)):
        assert await decode_detail(await encode_detail(each)) == detail
