"""A data directory, the server or command that works on it, and what its callers know.

with world.serving(Plan(die_at=point)):     # ended as an operator does it, where it still runs at the end
    world.publish("demo", built)
assert world.status == -signal.SIGKILL
"""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import signal
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.crash.ledger import Ledger
from tests.crash.processes import LIVE, Plan
from tests.e2e.harness import forwards_to
from tests.e2e.wire import JSON, Reply, ask, check_intact, list_files, upload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.builders import BuiltFile
    from tests.crash.processes import Forks, Process
    from tests.fake_index import ThreadedFakeIndex

GONE = (OSError, http.client.HTTPException)
"""What a client meets when the server dies under it."""
SECRET = "glpat-of-the-owner"
OWNER = {"PRIVATE-TOKEN": SECRET}
PROJECT = "api/v4/projects/1/packages"
DATABASE = "pypi-sidecar.db"
LONG_AGO = 1_600_000_000
"""An age at which leftovers go, as a time stamp of files."""
LISTENING = "listening"
"""The line among recorded points from which on the server answers."""


class Died(ConnectionError):
    """The process was gone before it said what it should."""


@dataclass
class World:
    """`directory` is its own, with `config.toml` and `data`; `status` is the last process's, once it has ended.

    `forwarded` are the upstream's projects that nothing is published under.
    """

    directory: Path
    forks: Forks
    upstream: ThreadedFakeIndex
    forwarded: frozenset[str] = frozenset()
    ledger: Ledger = field(default_factory=Ledger)
    url: str = ""
    status: int | None = None

    @property
    def data_dir(self) -> Path:
        return self.directory / "data"

    @property
    def parts(self) -> list[Path]:
        return list((self.data_dir / "parts").iterdir())

    @property
    def blobs(self) -> list[Path]:
        return [path for path in (self.data_dir / "blobs").glob("??/*") if path.is_file()]

    @property
    def digests(self) -> set[str]:
        """Of all blobs."""
        return set(map(digest_of, self.blobs))

    @property
    def published(self) -> set[str]:
        """The digests that rows of published files name."""
        return self._select("sha256 FROM files") | self._select(
            "core_metadata FROM files WHERE core_metadata IS NOT NULL"
        )

    @property
    def cached(self) -> set[str]:
        """The digests that the rows of the cache name."""
        return self._select("sha256 FROM cached_blobs")

    def copy(self, directory: Path) -> World:
        """The same once more, in a directory that is made."""
        shutil.copytree(self.directory, directory)
        (directory / "stderr.txt").unlink(missing_ok=True)
        return replace(self, directory=directory, ledger=self.ledger.copy())

    def configure(self, cache: str = "") -> None:
        """Anybody publishes, one may delete; each use of a page asks the upstream. `cache` are further keys."""
        sha256 = hashlib.sha256(SECRET.encode()).hexdigest()
        (self.directory / "config.toml").write_text(
            f"""
            [access]
            anonymous = "publish"
            [cache]
            page_ttl = "0s"
            {cache}
            [groups.default]
            id = 1
            [projects."default/packages"]
            id = 1
            duplicates = "identical"
            [[tokens]]
            name = "owner"
            sha256 = "{sha256}"
            scopes = ["api"]
            access = {{ "default" = "owner" }}
            """
            + forwards_to(self.upstream)
        )

    def start(self, *args: str | Path, plan: Plan = LIVE) -> Process:
        """`pypi-sidecar ARGS` on this data directory."""
        options: list[str | Path] = ["--config", self.directory / "config.toml", "--data-dir", self.data_dir]
        self.status = None
        return self.forks.start([*args, *options], self.directory, plan)

    @contextmanager
    def serving(self, plan: Plan = LIVE) -> Iterator[Process]:
        """A server at `url`; raises Died where it did not come so far."""
        process = self.start("serve", "--port", "0", plan=plan)
        try:
            line = process.read_line()
            if not line.startswith("listening on "):
                raise Died(f"printed {line!r}; {process.stderr}")
            self.url = line.removeprefix("listening on ")
            if plan.record:
                _append(plan.record, LISTENING)
            yield process
        finally:
            process.send(signal.SIGTERM)
            self.status = process.wait()

    def command(self, *args: str | Path, plan: Plan = LIVE) -> str:
        """What a command printed; raises Died unless it ended well."""
        process = self.start(*args, plan=plan)
        self.status = process.wait()
        if self.status != 0:
            raise Died(f"{args[0]}: {self.status} {process.stderr}")
        return process.stdout

    # What callers do

    def answers(self) -> bool:
        """True; raises GONE where the server is."""
        return ask("GET", f"{self.url}-/health").status == 200

    def publish(self, name: str, built: BuiltFile) -> None:
        """Upload, and note what is known of it."""
        self.ledger.begin(name, built)
        reply = upload(f"{self.url}legacy/", name, "1.0", built)
        assert reply.status == 201, reply
        self.ledger.note_published(name)

    def delete(self, name: str) -> None:
        """Delete the one release of a name, and note what is known of it."""
        (package,) = self.packages(name)
        self.ledger.begin(name, self.ledger.published[name])
        reply = ask("DELETE", f"{self.url}{PROJECT}/{package}", headers=OWNER)
        assert reply.status == 204, reply
        self.ledger.note_deleted(name)

    def packages(self, name: str) -> list[int]:
        """The ids of a name's packages (the API's own filter takes longer names too)."""
        reply = ask("GET", f"{self.url}{PROJECT}?package_name={name}", headers=OWNER)
        assert reply.status == 200, reply
        return [package["id"] for package in json.loads(reply.body) if package["name"] == name]

    def install(self, name: str) -> None:
        """The page, each of its files and their core metadata, as installers ask for them."""
        for file in list_files(self.page_of(name)):
            check_intact(file)
            assert ask("GET", f"{file.url}.metadata").status == 200

    def _select(self, what: str) -> set[str]:
        with closing(sqlite3.connect(self.data_dir / DATABASE)) as connection:
            return {value for (value,) in connection.execute(f"SELECT {what}")}

    def page_of(self, name: str) -> str:
        return f"{self.url}simple/{name}/"

    def ask_page(self, name: str) -> Reply:
        return ask("GET", self.page_of(name), headers={"Accept": JSON})


def digest_of(blob: Path) -> str:
    """What the path of a blob says."""
    return blob.parent.name + blob.name


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(f"{line}\n")
