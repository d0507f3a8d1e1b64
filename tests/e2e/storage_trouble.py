"""What a server over a disk that takes no more must do, whatever the reason, and what it does again afterwards."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Final

from proxy.core.digests import sha256_of
from tests.builders import build_wheel
from tests.e2e.harness import eventually
from tests.e2e.wire import ask, list_files, list_projects, upload
from tests.fake_index import Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.builders import BuiltFile
    from tests.e2e.harness import Server
    from tests.e2e.wire import ListedFile, Reply
    from tests.fake_index import Controls, File

SIZE: Final = 300_000
"""Bytes of each file: more than any disk that is called full has left."""


class Stock:
    """A published and a cached file, and an upstream that has ever more. `data_dir` is a path that the test can open.

    Made while all is well; the checks are given the server that runs then, over the same data directory.
    """

    def __init__(self, server: Server, upstream: Controls, data_dir: Path) -> None:
        self._upstream = upstream
        self._data_dir = data_dir
        self._numbers = count()
        self._published: list[BuiltFile] = []
        self.publish(server)
        self._warm = self.add_upstream("warm")
        check_file(self.listed(server, self._warm), self._warm)
        eventually(self._metadata_is_kept, what="the metadata of the cached wheel is kept beside it")
        self.check_no_parts()
        self.check_ready(server)

    def _metadata_is_kept(self) -> bool:
        """The server does that by itself, after the wheel has gone out."""
        sha256 = sha256_of(self._warm.metadata or b"")
        return (self._data_dir / "blobs" / sha256[:2] / sha256[2:]).exists()

    def publish(self, server: Server) -> None:
        """An upload is taken, and from now on expected to be there."""
        assert self.takes_uploads(server)

    def takes_uploads(self, server: Server) -> bool:
        """Whether it takes one more, which then is expected to be there."""
        name, built = self._new_upload()
        reply = upload(f"{server.url}legacy/", name, "1.0", built)
        assert reply.status in {201, 507}, (reply, reply.body)
        if reply.status == 201:
            self._published.append(built)
        return reply.status == 201

    def check_kept(self, server: Server) -> None:
        """What was published and what was cached is served, without the upstream."""
        with self._upstream_down():
            self.check_published(server)
            check_file(self.listed(server, self._warm), self._warm)

    def check_published(self, server: Server) -> None:
        """All that was acknowledged is listed and intact, and nothing else is listed."""
        assert list_projects(f"{server.url}simple/") == sorted(name_of(built) for built in self._published)
        for built in self._published:
            (file,) = list_files(f"{server.url}simple/{name_of(built)}/")
            assert ask("GET", file.url).body == built.data
            assert ask("GET", f"{file.url}.metadata").body == built.metadata

    def check_uploads_refused(self, server: Server) -> str:
        """They are told so and leave nothing; what they are told."""
        name, built = self._new_upload()
        reply = upload(f"{server.url}legacy/", name, "1.0", built)
        assert reply.status == 507, (reply, reply.body)
        self.check_no_parts()
        with self._upstream_down():
            assert list_projects(f"{server.url}simple/") == sorted(name_of(built) for built in self._published)
            assert ask("GET", f"{server.url}files/{built.sha256}/{built.filename}").status != 200
        return reply.message

    def check_forwarded_uncached(self, server: Server) -> None:
        """Pages, files, ranges and metadata that were never seen come from the upstream, and are not kept."""
        cold = self.add_upstream("cold")
        file = self.listed(server, cold)
        check_file(file, cold)
        assert ask("GET", f"{file.url}.metadata").body == cold.metadata
        part = ask("GET", file.url, headers={"Range": "bytes=1000-1999"})
        assert (part.status, part.body) == (206, cold.data[1000:2000])
        self._upstream.clear_requests()
        check_file(file, cold)
        assert self._upstream.count("GET", f"*{cold.filename}") >= 1
        self._check_read_out_of_a_wheel(server)
        self.check_no_parts()

    def check_not_ready(self, server: Server, *parts: str) -> None:
        """Readiness names these parts; the server is alive all the same."""
        reply = ask("GET", f"{server.url}-/readiness")
        told = json.loads(reply.body)
        assert (reply.status, told["status"]) == (503, "failed")
        assert set(parts) <= set(told) <= {"status", "database", "blobs"}
        assert str(self._data_dir) not in reply.body.decode()
        for path in ("-/health", "-/liveness"):
            assert ask("GET", f"{server.url}{path}").status == 200

    def check_ready(self, server: Server) -> None:
        reply = ask("GET", f"{server.url}-/readiness")
        assert (reply.status, json.loads(reply.body)) == (200, {"status": "ok"})

    def check_recovered(self, server: Server) -> None:
        """All is as if nothing had been: ready, uploads are taken, what is fetched is kept."""
        self.check_ready(server)
        self.publish(server)
        cold = self.add_upstream("kept")
        file = self.listed(server, cold)
        check_file(file, cold)
        eventually(lambda: self._is_kept(cold), what="the file is cached")
        with self._upstream_down():
            check_file(file, cold)
            check_file(self.listed(server, cold), cold)
        self.check_kept(server)

    def check_no_parts(self) -> None:
        eventually(lambda: not any((self._data_dir / "parts").iterdir()), what="no part is left")

    def add_upstream(self, kind: str, *, size: int = SIZE, core_metadata: bool = True) -> File:
        """A wheel of a new project that the upstream has from now on."""
        name = f"{kind}-{next(self._numbers)}"
        if core_metadata:
            return self._upstream.add_wheel(name, "1.0", size_padding=size)
        return self._upstream.add_wheel(name, "1.0", size_padding=size, core_metadata=False)

    def listed(self, server: Server, file: File) -> ListedFile:
        """The file as the server's page names it."""
        (listed,) = list_files(f"{server.url}simple/{file.project}/")
        return listed

    def _check_read_out_of_a_wheel(self, server: Server) -> None:
        wheel = self.add_upstream("bare", core_metadata=False)
        reply = ask("GET", f"{self.listed(server, wheel).url}.metadata")
        assert (reply.status, reply.body) == (200, wheel.metadata)

    def _new_upload(self) -> tuple[str, BuiltFile]:
        name = f"own-{next(self._numbers)}"
        return name, build_wheel(name, "1.0", size_padding=SIZE)

    def _is_kept(self, file: File) -> bool:
        return (self._data_dir / "blobs" / file.sha256[:2] / file.sha256[2:]).exists()

    @contextmanager
    def _upstream_down(self) -> Iterator[None]:
        """Nothing that is asked of the upstream is answered."""
        fault = self._upstream.fault(Status(503))
        try:
            yield
        finally:
            self._upstream.clear_faults(fault)


def check_file(listed: ListedFile, file: File) -> None:
    """The link answers the upstream's very bytes."""
    reply: Reply = ask("GET", listed.url)
    assert (reply.status, hashlib.sha256(reply.body).hexdigest()) == (200, file.sha256), (reply, reply.body[:500])


def name_of(built: BuiltFile) -> str:
    return built.filename.partition("-1.0-")[0].replace("_", "-")
