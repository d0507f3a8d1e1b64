"""An upstream whose answers, bytes and failures are counted: it is asked as any other, and asks the one inside it."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from proxy.core import metrics
from proxy.core.errors import Offline, UpstreamBroken, UpstreamTrouble
from proxy.core.metrics import Failure, Question
from proxy.ports import FetchedPage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator
    from contextlib import AbstractAsyncContextManager

    from proxy.core.model import Validators
    from proxy.core.names import ProjectName
    from proxy.core.ranges import ByteRange
    from proxy.ports import Body, PageAnswer, Upstream
    from proxy.services.meters import Meters


class MeteredUpstream:
    """Fills `ports.Upstream`. What is not asked since the instance is offline is not counted."""

    def __init__(self, upstream: Upstream, meters: Meters) -> None:
        self._upstream = upstream
        self._meters = meters

    @property
    def name(self) -> str:
        return self._upstream.name

    @property
    def links(self) -> str:
        return self._upstream.links

    async def fetch_page(self, name: ProjectName, validators: Validators | None) -> PageAnswer:
        with self._asked(Question.PAGE):
            answer = await self._upstream.fetch_page(name, validators)
        if isinstance(answer, FetchedPage):
            self._received(Question.PAGE, answer.size)
        return answer

    async def has_page(self, name: ProjectName) -> bool | None:
        with self._asked(Question.PAGE_HEAD):
            return await self._upstream.has_page(name)

    async def fetch_size(self, url: str) -> int | None:
        with self._asked(Question.FILE_HEAD):
            return await self._upstream.fetch_size(url)

    async def fetch_provenance(self, url: str) -> bytes:
        with self._asked(Question.PROVENANCE):
            fetched = await self._upstream.fetch_provenance(url)
        self._received(Question.PROVENANCE, len(fetched))
        return fetched

    def open_file(self, url: str, wanted: ByteRange | None = None) -> AbstractAsyncContextManager[Body]:
        return self._opened(self._upstream.open_file(url, wanted))

    def open_rest(self, url: str, first: int, size: int | None) -> AbstractAsyncContextManager[Body]:
        return self._opened(self._upstream.open_rest(url, first, size))

    @asynccontextmanager
    async def _opened(self, opening: AbstractAsyncContextManager[Body]) -> AsyncIterator[Body]:
        async with AsyncExitStack() as stack:
            with self._asked(Question.FILE):
                body = await stack.enter_async_context(opening)
            chunks = await stack.enter_async_context(aclosing(self._counted(body.chunks)))
            yield body._replace(chunks=chunks)

    async def _counted(self, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in chunks:
                self._received(Question.FILE, len(chunk))
                yield chunk
        except UpstreamTrouble as error:
            self._failed(Question.FILE, error)
            raise

    @contextmanager
    def _asked(self, question: Question) -> Iterator[None]:
        """Around a question, until it is answered, fails, or nobody waits for the answer any more."""
        started, asked = time.perf_counter(), True
        try:
            yield
        except Offline:
            asked = False
            raise
        except UpstreamTrouble as error:
            self._failed(question, error)
            raise
        finally:
            if asked:
                self._meters.add(metrics.UPSTREAM_REQUESTS.cell(question))
                self._meters.observe(metrics.UPSTREAM_DURATION.cell(question), time.perf_counter() - started)

    def _received(self, question: Question, size: int) -> None:
        self._meters.add(metrics.UPSTREAM_BYTES.cell(question), size)

    def _failed(self, question: Question, error: UpstreamTrouble) -> None:
        failure = Failure.BROKEN if isinstance(error, UpstreamBroken) else Failure.TROUBLE
        self._meters.add(metrics.UPSTREAM_FAILURES.cell(question, failure))
