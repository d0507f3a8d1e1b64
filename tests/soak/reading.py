"""Clients that read what the upstream has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from tests.e2e.wire import JSON
from tests.soak.exchange import Exchanges

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.fake_index import File
    from tests.soak.exchange import World

_HTML: Final = "application/vnd.pypi.simple.v1+html"


class Reading:
    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._exchanges = Exchanges(world)
        self._seen: set[str] = set()

    @property
    def actions(self) -> dict[Callable[[], None], int]:
        """What it does, and how often beside the others."""
        return {
            self.read_page: 30,
            self.read_page_as_html: 5,
            self.look_for_nothing: 5,
            self.read_file: 20,
            self.read_part: 10,
            self.ask_for_head: 5,
            self.read_metadata: 10,
            self.read_again: 5,
        }

    def read_page(self) -> None:
        file = self._any_file()
        reply = self._page("page", file, JSON)
        if reply is None:
            return
        listed = {each["filename"]: each["hashes"]["sha256"] for each in json.loads(reply)["files"]}
        self._exchanges.expect(listed == {file.filename: file.sha256}, f"page: {file.project} lists {listed}")

    def read_page_as_html(self) -> None:
        file = self._any_file()
        reply = self._page("page as HTML", file, _HTML)
        if reply is not None:
            whole = file.sha256.encode() in reply and reply.rstrip().endswith(b"</html>")
            self._exchanges.expect(whole, f"page as HTML: {file.project} is {reply[:200]!r}")

    def look_for_nothing(self) -> None:
        path = f"simple/nothing-{self._random.getrandbits(32)}/"
        self._exchanges.ask("no page", path, {404}, forwarded=True)

    def read_file(self) -> None:
        file = self._any_file()
        reply = self._exchanges.ask("file", _link(file), {200}, forwarded=True)
        if reply is not None:
            self._exchanges.check("file", reply.body, file.sha256)

    def read_part(self) -> None:
        file = self._any_file()
        first = self._random.randrange(len(file.data))
        last = self._random.randrange(first, len(file.data))
        headers = {"Range": f"bytes={first}-{last}"}
        reply = self._exchanges.ask("part", _link(file), {206}, headers=headers, forwarded=True)
        # A part cannot be verified before it is sent: in foul weather it may be wrong.
        if reply is not None:
            self._exchanges.expect(len(reply.body) == last - first + 1, f"part: {len(reply.body)} of {headers}")

    def ask_for_head(self) -> None:
        file = self._any_file()
        reply = self._exchanges.ask("head", _link(file), {200}, method="HEAD", forwarded=True)
        if reply is not None:
            told = (reply.headers.get("content-length"), reply.body)
            self._exchanges.expect(told == (str(len(file.data)), b""), f"head: {file.filename} told {told}")

    def read_metadata(self) -> None:
        file = self._any_file()
        reply = self._exchanges.ask("metadata", f"{_link(file)}.metadata", {200}, forwarded=True)
        if reply is not None:
            self._exchanges.expect(reply.body == file.metadata, f"metadata: {file.filename} is {reply.body[:200]!r}")

    def read_again(self) -> None:
        """A client that has the file already."""
        file = self._any_file()
        headers = {"If-None-Match": f'"{file.sha256}"'}
        self._exchanges.ask("file again", _link(file), {304}, headers=headers, forwarded=True)

    def _page(self, what: str, file: File, accept: str) -> bytes | None:
        """The page's body. One that was here once is served from then on, whatever the upstream does."""
        seen = file.project in self._seen
        path = f"simple/{file.project}/"
        reply = self._exchanges.ask(what, path, {200}, headers={"Accept": accept}, forwarded=not seen)
        if reply is None:
            return None
        self._seen.add(file.project)
        return reply.body

    def _any_file(self) -> File:
        shelf = self._world.shelf
        return shelf.hot(self._random) if self._random.random() < 0.7 else shelf.cold(self._random)


def _link(file: File) -> str:
    return f"files/{file.sha256}/{file.filename}"
