"""How the product's cost grows: with the files of a page, with connections, with local projects."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from tests.bench.catalog import CONNECTIONS, FILES, PROJECTS
from tests.bench.cores import SERVER
from tests.bench.fetching import download
from tests.bench.processes import NotAvailable
from tests.bench.results import Gap, Sample
from tests.bench.servers import empty
from tests.bench.session import BROKEN, describe
from tests.bench.warm import ACCEPT, check, plain
from tests.bench.wrk import rush

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.bench.processes import Process
    from tests.bench.session import Found, Session

_MICROSECONDS: Final = 1_700_000_000_000_000


def page_name(count: int) -> str:
    """The upstream's project with so many files."""
    return f"bench-files-{count}"


def measure_files(session: Session) -> Iterator[Found]:
    yield from _guarded(session, "files", FILES, ("warm", "cold"), _files)


def measure_connections(session: Session) -> Iterator[Found]:
    yield from _guarded(session, "connections", CONNECTIONS, ("six",), _connections)


def measure_projects(session: Session) -> Iterator[Found]:
    yield from _guarded(session, "projects", PROJECTS, ("page", "index", "first"), _projects)


def _guarded(
    session: Session,
    axis: str,
    counts: tuple[int, ...],
    kinds: tuple[str, ...],
    measure: Callable[[Session, int], Iterator[Found]],
) -> Iterator[Found]:
    name = session.product.name
    for count in counts:
        rows = [f"{axis}/{count}/{kind}" for kind in kinds]
        if not any(map(session.options.wants, rows)):
            continue
        session.say(f"growth: {axis}, {count}")
        try:
            yield from measure(session, count)
        except (NotAvailable, *BROKEN) as error:
            yield from (Gap(row, name, describe(error)) for row in rows)


def _files(session: Session, count: int) -> Iterator[Found]:
    product = session.product
    with session.running(product) as process:
        plain(product, process.url, "six")  # so that it is the page that is cold, not the server
        page = product.page(process.url, page_name(count))
        found = download(page, ACCEPT)
        if found.status != 200:
            raise NotAvailable(f"answers {found.status}")
        yield Sample(f"files/{count}/cold", product.name, found.whole)
        yield Sample(f"files/{count}/warm", product.name, _rate(session, process, page))


def _connections(session: Session, count: int) -> Iterator[Found]:
    product = session.product
    with session.running(product) as process:
        page = plain(product, process.url, "six").url
        done = check(rush(page, ACCEPT, session.options.seconds, connections=count))
        yield Sample(f"connections/{count}/six", product.name, done.per_second)


def _projects(session: Session, count: int) -> Iterator[Found]:
    """In a data directory that the server made, whose rows the bench wrote: so many uploads would take hours."""
    product = session.product
    folder = empty(session.folder / "projects")
    with product.process(folder, SERVER):
        pass
    fill(folder / "data", count)
    with product.process(folder, SERVER) as process:
        index = f"{process.url}{product.index}"
        began = time.monotonic()
        if download(index, ACCEPT).status != 200:
            raise NotAvailable("no root index")
        yield Sample(f"projects/{count}/first", product.name, time.monotonic() - began)
        page = plain(product, process.url, "local-1").url
        yield Sample(f"projects/{count}/page", product.name, _rate(session, process, page))
        yield Sample(f"projects/{count}/index", product.name, _rate(session, process, index))
    empty(folder)


def _rate(session: Session, process: Process, url: str) -> float:
    done = check(rush(url, ACCEPT, session.options.seconds))
    process.empty_log()
    return done.per_second


def fill(data_dir: Path, count: int) -> None:
    """`local-0` and so on, a release of one wheel each, in the one project of the default config."""
    (database,) = [path for path in data_dir.iterdir() if path.suffix in {".db", ".sqlite", ".sqlite3"}]
    numbers = range(count)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(
            "INSERT INTO releases (id, project_id, name, raw_name, raw_version, created_at, requires_python,"
            " metadata_version, author_email, summary, description, description_content_type, keywords)"
            " VALUES (?, 1, ?, ?, '1.0', ?, '', '2.1', '', '', '', '', '')",
            ((number + 1, f"local-{number}", f"local-{number}", _MICROSECONDS) for number in numbers),
        )
        connection.executemany(
            "INSERT INTO files (release_id, project_id, name, filename, kind, sha256, blake2b, md5, size,"
            " requires_python, uploaded_at, published_by)"
            " VALUES (?, 1, ?, ?, 'bdist_wheel', ?, '', '', 1000, '', ?, 'bench')",
            (
                (
                    number + 1,
                    f"local-{number}",
                    f"local_{number}-1.0-py3-none-any.whl",
                    f"{number:064x}",
                    _MICROSECONDS,
                )
                for number in numbers
            ),
        )
        connection.executemany(
            "INSERT INTO claims (root_id, name) VALUES (1, ?)", ((f"local-{number}",) for number in numbers)
        )
