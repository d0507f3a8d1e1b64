"""Clients that publish, read back and delete."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from tests.builders import build_wheel
from tests.e2e.wire import JSON, upload_form
from tests.soak.exchange import Exchanges
from tests.soak.stage import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.builders import BuiltFile
    from tests.soak.exchange import World

_MAX_ALIVE: Final = 20
_PACKAGES: Final = "api/v4/projects/1/packages"


class Publishing:
    """Each client has names of its own, and what it published is none of the upstream's: no weather excuses it."""

    def __init__(self, world: World, random: Random, prefix: str) -> None:
        self._world = world
        self._random = random
        self._prefix = prefix
        self._exchanges = Exchanges(world)
        self._count = 0
        self._alive: dict[str, BuiltFile] = {}

    @property
    def actions(self) -> dict[Callable[[], None], int]:
        return {self.publish: 5, self.publish_again: 2, self.read_back: 10, self.delete: 3}

    def publish(self) -> None:
        if len(self._alive) >= _MAX_ALIVE:
            return
        self._count += 1
        name = f"{self._prefix}-{self._count}"
        built = build_wheel(name, "1.0", size_padding=self._random.randint(0, 60_000))
        self._world.ledger.add(built)
        if self._send(name, built, 201):
            self._alive[name] = built

    def publish_again(self) -> None:
        """A file name is taken once."""
        if self._alive:
            name = self._choose()
            self._send(name, self._alive[name], 400)

    def read_back(self) -> None:
        if self._alive:
            self.check(self._choose())

    def check_all(self) -> None:
        for name in self._alive:
            self.check(name)

    def check(self, name: str) -> None:
        """It is listed, and its bytes are those that were sent."""
        built = self._alive[name]
        page = self._exchanges.ask("own page", f"simple/{name}/", {200}, headers={"Accept": JSON})
        if page is None:
            return
        listed = [file["hashes"]["sha256"] for file in json.loads(page.body)["files"]]
        self._exchanges.expect(listed == [built.sha256], f"own page: {name} lists {listed}")
        link = f"files/{built.sha256}/{built.filename}"
        if (file := self._exchanges.ask("own file", link, {200})) is not None:
            self._exchanges.check("own file", file.body, built.sha256)
        if (metadata := self._exchanges.ask("own metadata", f"{link}.metadata", {200})) is not None:
            self._exchanges.expect(metadata.body == built.metadata, f"own metadata: {name} is {metadata.body!r}")

    def delete(self) -> None:
        """Through GitLab's packages API; the name is not given to the upstream by that."""
        if not self._alive:
            return
        name = self._choose()
        found = self._exchanges.ask("packages", f"{_PACKAGES}?package_name={name}", {200})
        ids = [package["id"] for package in json.loads(found.body) if package["name"] == name] if found else []
        self._exchanges.expect(len(ids) == 1, f"packages: {name} is {ids}")
        for package in ids:
            gone = self._exchanges.ask(
                "delete", f"{_PACKAGES}/{package}", {204}, method="DELETE", headers={"PRIVATE-TOKEN": SECRET}
            )
            if gone is not None:
                built = self._alive.pop(name)
                self._exchanges.ask("deleted page", f"simple/{name}/", {404})
                self._exchanges.ask("deleted file", f"files/{built.sha256}/{built.filename}", {404})

    def _send(self, name: str, built: BuiltFile, status: int) -> bool:
        content_type, body = upload_form(name, "1.0", built)
        headers = {"Content-Type": content_type}
        reply = self._exchanges.ask("upload", "legacy/", {status}, method="POST", headers=headers, body=body)
        return reply is not None

    def _choose(self) -> str:
        return self._random.choice([*self._alive])
