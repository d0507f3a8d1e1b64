"""What tests ask of an upstream, in short."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from proxy.core.names import ProjectName
from proxy.ports import FetchedPage

if TYPE_CHECKING:
    from proxy.core.model import Validators
    from proxy.core.ranges import ByteRange
    from proxy.core.registry import Upstream
    from proxy.upstream import HttpUpstream
    from tests.fake_index import Fault

DEMO = ProjectName("demo")
PAGE = "/simple/demo/"
JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"


def kind(fault: Fault) -> str:
    """For ids of tests: the fault's own text may hold an address."""
    return type(fault).__name__


class Connect(Protocol):
    async def __call__(self, settings: Upstream) -> HttpUpstream: ...


async def page_of(upstream: HttpUpstream, validators: Validators | None = None) -> FetchedPage:
    """The page of demo, which must come whole."""
    answer = await upstream.fetch_page(DEMO, validators)
    assert isinstance(answer, FetchedPage)
    return answer


async def read(upstream: HttpUpstream, url: str, wanted: ByteRange | None = None) -> bytes:
    """A file, or a range of it."""
    async with upstream.open_file(url, wanted) as body:
        return b"".join([chunk async for chunk in body.chunks])
