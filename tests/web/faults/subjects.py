"""A project to be put under a fault: what is asked of it, where the fault lies, and what the right answers are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING

import aiohttp

from tests.web.server import JSON

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.fake_index import FakeIndex, File
    from tests.web.server import Answer, Server

PROVENANCE = json.dumps({"version": 1, "attestation_bundles": [], "filler": "x" * 1200}).encode()
REQUIRES = [f"dependency-{number}>=1" for number in range(60)]
"""Makes core metadata longer than what is held back until a digest agrees."""
FILLER = "x" * 40_000
"""Makes pages longer than files: what drips may be too slow for a page and still do for a file."""


class Kind(Enum):
    """What is asked for; the values are columns of the table."""

    PAGE = "page"
    FILE = "file"
    METADATA = "metadata"
    IN_WHEEL = "in_wheel"
    PROVENANCE = "provenance"


COMPANIONS = tuple(kind for kind in Kind if kind is not Kind.PAGE)


@dataclass(frozen=True)
class Subject:
    """`wheel` has all companions, nobody offers the core metadata of `bare`; `wheel` is the newest.

    `routes` is what stands before `/simple/` and `/files/` on our server.
    """

    name: str
    wheel: File
    bare: File
    routes: str = ""

    @property
    def page(self) -> str:
        return f"{self.routes}/simple/{self.name}/"

    def path(self, kind: Kind) -> str:
        """Where the server answers it."""
        wheel, bare = (f"{self.routes}/files/{file.sha256}/{file.filename}" for file in (self.wheel, self.bare))
        return {
            Kind.PAGE: self.page,
            Kind.FILE: wheel,
            Kind.METADATA: f"{wheel}.metadata",
            Kind.IN_WHEEL: f"{bare}.metadata",
            Kind.PROVENANCE: f"{wheel}.provenance",
        }[kind]

    def source(self, kind: Kind) -> str:
        """Where the upstream answers it."""
        return {
            Kind.PAGE: f"/simple/{self.name}/",
            Kind.FILE: self.wheel.path,
            Kind.METADATA: f"{self.wheel.path}.metadata",
            Kind.IN_WHEEL: self.bare.path,
            Kind.PROVENANCE: str(self.wheel.provenance_path),
        }[kind]

    def is_right(self, kind: Kind, answer: Answer | None) -> bool:
        if answer is None or answer.status != 200:
            return False
        if kind is Kind.PAGE:
            return answer.page.filenames == [self.bare.filename, self.wheel.filename]
        return answer.body == self._body(kind)

    def _body(self, kind: Kind) -> bytes | None:
        bodies = {Kind.FILE: self.wheel.data, Kind.METADATA: self.wheel.metadata, Kind.IN_WHEEL: self.bare.metadata}
        return bodies.get(kind, PROVENANCE)


def add_subject(index: FakeIndex, name: str, routes: str = "") -> Subject:
    bare = index.add_wheel(name, "1.0", requires_dist=REQUIRES, core_metadata=False)
    wheel = index.add_wheel(
        name,
        "2.0",
        requires_dist=REQUIRES,
        size_padding=20_000,  # streamed: shorter ones may be kept back whole
        provenance=PROVENANCE,
        extra={"filler": FILLER},
    )
    return Subject(name, wheel, bare, routes)


async def ask(server: Server, subject: Subject, kind: Kind) -> Answer | None:
    """The answer; None where the connection ended before it did."""
    try:
        return await server.get(subject.path(kind), Accept=JSON)
    except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError):
        return None


def unverified(data_dir: Path, subjects: Iterable[Subject]) -> list[str]:
    """What lies in the blobs and is not a file or the metadata of these subjects, whole and under its own digest."""
    files = [file for subject in subjects for file in (subject.wheel, subject.bare)]
    known = {sha256(content or b"").hexdigest() for file in files for content in (file.data, file.metadata)}
    blobs = [path for path in (data_dir / "blobs").rglob("*") if path.is_file()]
    held = {path.parent.name + path.name: sha256(path.read_bytes()).hexdigest() for path in blobs}
    return [name for name, digest in held.items() if name != digest or digest not in known]
