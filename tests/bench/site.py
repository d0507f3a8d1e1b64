"""What the fake PyPI holds, as files for nginx: pages with links to itself, and made files small, large and many.

simple/NAME/index.json   simple/NAME/index.json.gz (where asked for)   bench/FILENAME
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.bench.recording import FILE_HOST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SEED: Final = 20
_BLOCK: Final = 1024 * 1024


class MadeFile(NamedTuple):
    """A file of the bench's own."""

    project: str
    filename: str
    size: int


SMALL: Final = MadeFile("bench-small", "bench_small-1.0-py3-none-any.whl", 10_000)
LARGE: Final = MadeFile("bench-large", "bench_large-1.0-py3-none-any.whl", 200_000_000)


def made_files(project: str, count: int, size: int) -> list[MadeFile]:
    """Versions 0 to `count` - 1."""
    stem = project.replace("-", "_")
    return [MadeFile(project, f"{stem}-{version}-py3-none-any.whl", size) for version in range(count)]


class Site:
    """`files_url` is where links lead: `http://HOST/files/`, or `/files/` for who serves pages himself."""

    def __init__(self, folder: Path, files_url: str, *, packed: bool = False) -> None:
        self.pages = folder / "simple"
        self._files_url = files_url
        self._packed = packed

    def add_page(self, name: str, recorded: bytes) -> None:
        """A real page, its links turned to this site."""
        self._write(name, recorded.replace(FILE_HOST.encode(), self._files_url.encode()))

    def add_made(self, files: Sequence[MadeFile], bodies: Path) -> None:
        """The page of one project; its files are below `bodies` already."""
        listed = [self._entry(file, _digest(bodies / file.filename)) for file in files]
        self._write(files[0].project, _page(files[0].project, listed))

    def add_growth(self, name: str, count: int) -> None:
        """A page of so many files that do not exist."""
        listed = [
            self._entry(file, hashlib.sha256(file.filename.encode()).hexdigest())
            for file in made_files(name, count, 100_000)
        ]
        self._write(name, _page(name, listed))

    def _entry(self, file: MadeFile, sha256: str) -> dict[str, object]:
        return {
            "filename": file.filename,
            "url": f"{self._files_url}bench/{file.filename}",
            "hashes": {"sha256": sha256},
            "requires-python": ">=3.8",
            "size": file.size,
            "upload-time": "2024-01-01T00:00:00.000000Z",
            "yanked": False,
        }

    def _write(self, name: str, page: bytes) -> None:
        folder = self.pages / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.json").write_bytes(page)
        if self._packed:
            (folder / "index.json.gz").write_bytes(gzip.compress(page, 6))


def write_bodies(folder: Path, files: Sequence[MadeFile]) -> None:
    """Bytes that do not compress, the same in each run."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        block = random.Random(f"{_SEED}/{file.filename}").randbytes(min(_BLOCK, file.size))  # noqa: S311
        with (folder / file.filename).open("wb") as body:
            for _ in range(file.size // len(block)):
                body.write(block)
            body.write(block[: file.size % len(block)])


def _page(name: str, files: Sequence[dict[str, object]]) -> bytes:
    versions = [str(file["filename"]).split("-")[1] for file in files]
    page = {"meta": {"api-version": "1.4"}, "name": name, "versions": versions, "files": files}
    return json.dumps(page, separators=(",", ":")).encode()


def _digest(path: Path) -> str:
    with path.open("rb") as body:
        return hashlib.file_digest(body, "sha256").hexdigest()
