"""Importing: the distributions in a directory are published as if each had been uploaded."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from proxy.core.access import Kind, Principal, Role, Scope
from proxy.core.distributions import parse_distribution
from proxy.core.errors import InvalidInput, NameTaken, Refused, StorageTrouble
from proxy.core.names import parse_filename

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.core.registry import Project
    from proxy.services.publish import Publisher, Upload

_READ_SIZE = 1024 * 1024


class Outcome(StrEnum):
    PUBLISHED = "published"
    PRESENT = "present"
    SKIPPED = "skipped"
    REFUSED = "refused"


class Imported(NamedTuple):
    """What became of one file; `reason` says why it was not published."""

    path: Path
    outcome: Outcome
    reason: str = ""


class Importer:
    """Publishes for whoever runs the command on the server's own data directory: that is an administrator."""

    def __init__(self, publisher: Publisher, project: Project) -> None:
        self._publisher = publisher
        self._project = project
        self._caller = Principal(
            Kind.PERSONAL, "import", scopes=frozenset({Scope.API}), grants={project.path: Role.ADMIN}
        )

    async def add(self, path: Path) -> Imported:
        """Publish one file; raises StorageTrouble, which ends an import. Repeated, it finds the file present."""
        try:
            filename = parse_filename(path.name)
            parse_distribution(filename)
        except InvalidInput as error:
            return Imported(path, Outcome.SKIPPED, error.message)
        try:
            if await self._publisher.holds(self._project, filename):
                return Imported(path, Outcome.PRESENT)
            async with self._publisher.receive(self._caller, self._project) as upload:
                await _copy(path, upload)
                await self._publisher.publish_as_described(upload, filename)
        except NameTaken:
            return Imported(path, Outcome.PRESENT)
        except (InvalidInput, Refused) as error:
            return Imported(path, Outcome.REFUSED, error.message)
        return Imported(path, Outcome.PUBLISHED)


async def _copy(path: Path, upload: Upload) -> None:
    try:
        with await asyncio.to_thread(path.open, "rb") as file:
            while data := await asyncio.to_thread(file.read, _READ_SIZE):
                await upload.write(data)
    except OSError as error:
        raise StorageTrouble(f"{path} cannot be read: {error.strerror}") from error
