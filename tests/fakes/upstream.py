"""An Upstream in memory that keeps the port's promises, and breaks them where a test says so.

    upstream = FakeUpstream()
    six = upstream.add("six", build_wheel("six", "1.16"))      # listed on its page and served

    upstream.trouble = UpstreamTrouble("down")                 # each call raises it
    upstream.page_gate = Gate()                                # pages wait here before they are answered
    upstream.files[six.url] = Served(data, gate=Gate(), gate_at=100)    # sends 100 bytes, then waits
    assert upstream.count("page", "six") == 1

It remembers each call in `asked` and each byte it sent in `sent`.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from msgspec import structs

from proxy.core.digests import sha256_of
from proxy.core.errors import NotFound, UpstreamBroken
from proxy.core.model import File, ProjectDetail, ProjectStatus, Validators
from proxy.core.names import parse_project_name
from proxy.ports import Absent, Body, FetchedPage, NotModified
from tests.fakes.clock import START

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from datetime import datetime

    from proxy.core.errors import UpstreamTrouble
    from proxy.core.names import ProjectName
    from proxy.core.ranges import ByteRange
    from proxy.ports import PageAnswer
    from tests.builders import BuiltFile
    from tests.fakes.gate import Gate

Call: TypeAlias = Literal["page", "head", "size", "provenance", "file", "rest"]

TRUTH = -1
"""For a size or length: what it really is."""
_serials = count(1)  # of all fakes: no two pages share a validator


class Asked(NamedTuple):
    """One call: a page by its name, anything else by its URL."""

    call: Call
    subject: str
    validators: Validators | None = None
    wanted: ByteRange | None = None
    first: int | None = None


@dataclass(frozen=True)
class Served:
    """How a file is sent: in pieces, with a wait at the `gate` after `gate_at` bytes, and `failure` for a clean end.

    `length` is what is promised in advance, None for nothing; it is the truth unless told.
    """

    data: bytes
    length: int | None = TRUTH
    gate: Gate | None = None
    gate_at: int = 0
    failure: UpstreamTrouble | None = None
    piece: int = 4096

    @property
    def promised(self) -> int | None:
        return len(self.data) if self.length == TRUTH else self.length

    def cut(self, wanted: ByteRange | None) -> Served:
        """The same, of a range alone."""
        return replace(self, data=self.data[wanted.first : wanted.last + 1]) if wanted else self

    def after(self, first: int) -> Served:
        """The same from that byte on; what was promised of the whole is promised of the rest."""
        promised = None if self.promised is None else self.promised - first
        return replace(self, data=self.data[first:], length=promised, gate_at=max(0, self.gate_at - first))

    def pieces(self) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """What comes before the gate, and what comes after it."""
        before, after = (self.data[: self.gate_at], self.data[self.gate_at :]) if self.gate else (self.data, b"")
        return _split(before, self.piece), _split(after, self.piece)


class FakeUpstream:
    """`links` is what pages are checked against; change it as a config would."""

    def __init__(self, name: str = "pypi") -> None:
        self.name = name
        self.links = f"https {name}.example:443"
        self.trouble: UpstreamTrouble | None = None
        self.ranges = True
        self.sizes = True
        self.heads = True
        self.page_gate: Gate | None = None
        self.pages: dict[ProjectName, FetchedPage] = {}
        self.broken_pages: dict[ProjectName, UpstreamTrouble] = {}
        self.files: dict[str, Served] = {}
        self.documents: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.sent = 0

    # What it has

    def add(
        self,
        project: str,
        built: BuiltFile,
        *,
        offers_metadata: bool = True,
        upload_time: datetime | None = START - timedelta(days=365),
        size: int | None = TRUTH,
        provenance: bytes | None = None,
    ) -> File:
        """List a file on its project's page, in place of one of its name, and serve it."""
        url = f"https://{self.name}.example/files/{built.sha256}/{built.filename}"
        file = File(
            filename=built.filename,
            url=url,
            hashes={"sha256": built.sha256},
            size=len(built.data) if size == TRUTH else size,
            upload_time=upload_time,
            core_metadata={"sha256": sha256_of(built.metadata)} if offers_metadata else False,
            provenance=f"{url}/provenance" if provenance is not None else None,
        )
        self.files[url] = Served(built.data)
        if offers_metadata:
            self.files[f"{url}.metadata"] = Served(built.metadata)
        if provenance is not None:
            self.documents[f"{url}/provenance"] = provenance
        self.list(project, file)
        return file

    def list(self, project: str, *files: File, status: ProjectStatus | None = None) -> None:
        """Put files on a page, perhaps a new one; its validators change."""
        name = parse_project_name(project)
        old = self.pages[name].detail if name in self.pages else ProjectDetail(name)
        new = {file.filename: file for file in (*old.files, *files)}
        self._save(structs.replace(old, files=tuple(new.values()), status=status or old.status))

    def unlist(self, project: str, *files: File) -> None:
        name = parse_project_name(project)
        old = self.pages[name].detail
        self._save(structs.replace(old, files=tuple(file for file in old.files if file not in files)))

    def remove(self, project: str) -> None:
        """From now on the project is absent."""
        del self.pages[parse_project_name(project)]

    def count(self, call: Call | None = None, subject: str | None = None) -> int:
        """How many calls there were."""
        return sum(call in {None, one.call} and subject in {None, one.subject} for one in self.asked)

    # What it answers

    async def fetch_page(self, name: ProjectName, validators: Validators | None) -> PageAnswer:
        await self._ask(Asked("page", name, validators=validators))
        if self.page_gate is not None:
            await self.page_gate.pass_through()
        if trouble := self.trouble or self.broken_pages.get(name):
            raise trouble
        page = self.pages.get(name)
        if page is None:
            return Absent()
        return NotModified() if validators == page.validators else page

    async def has_page(self, name: ProjectName) -> bool | None:
        await self._ask(Asked("head", name))
        if trouble := self.trouble or self.broken_pages.get(name):
            raise trouble
        return name in self.pages if self.heads else None

    async def fetch_size(self, url: str) -> int | None:
        await self._ask(Asked("size", url))
        self._check()
        return len(self._file(url).data) if self.sizes else None

    async def fetch_provenance(self, url: str) -> bytes:
        await self._ask(Asked("provenance", url))
        self._check()
        if url not in self.documents:
            raise NotFound("404 Not Found")
        return self.documents[url]

    @asynccontextmanager
    async def open_file(self, url: str, wanted: ByteRange | None = None) -> AsyncIterator[Body]:
        await self._ask(Asked("file", url, wanted=wanted))
        self._check()
        if wanted is not None and not self.ranges:
            raise UpstreamBroken(f"the upstream {self.name} sends no ranges")
        async with self._sending(self._file(url).cut(wanted)) as body:
            yield body

    @asynccontextmanager
    async def open_rest(self, url: str, first: int, size: int | None) -> AsyncIterator[Body]:
        await self._ask(Asked("rest", url, first=first))
        self._check()
        served = self._file(url)
        if size is not None and served.promised not in {None, size}:
            raise UpstreamBroken(f"the upstream {self.name} has another file by now")
        async with self._sending(served.after(first)) as body:
            yield body

    @asynccontextmanager
    async def _sending(self, served: Served) -> AsyncIterator[Body]:
        chunks = self._send(served)
        try:
            yield Body(served.promised, chunks)
        finally:
            await chunks.aclose()

    async def _send(self, served: Served) -> AsyncGenerator[bytes, None]:
        before, after = served.pieces()
        for piece in before:
            yield await self._passed(piece)
        if served.gate is not None:
            await served.gate.pass_through()
        for piece in after:
            yield await self._passed(piece)
        if served.failure is not None:
            raise served.failure

    async def _passed(self, piece: bytes) -> bytes:
        await asyncio.sleep(0)
        self._check()
        self.sent += len(piece)
        return piece

    def _file(self, url: str) -> Served:
        if url not in self.files:
            raise NotFound("404 Not Found")
        return self.files[url]

    def _save(self, detail: ProjectDetail) -> None:
        versions = tuple(dict.fromkeys(file.filename.split("-")[1].removesuffix(".tar.gz") for file in detail.files))
        validators = Validators(etag=f'"{next(_serials)}"')
        self.pages[detail.name] = FetchedPage(structs.replace(detail, versions=versions), validators)

    async def _ask(self, asked: Asked) -> None:
        self.asked.append(asked)
        await asyncio.sleep(0)

    def _check(self) -> None:
        if self.trouble:
            raise self.trouble


def _split(data: bytes, size: int) -> Sequence[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]
