"""Where it plays: an upstream with hot projects and ever more cold ones, and the server between it and the clients."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import TYPE_CHECKING, Final

from tests.e2e.harness import forwards_to

if TYPE_CHECKING:
    from random import Random

    from tests.builders import BuiltFile
    from tests.fake_index import File, ThreadedFakeIndex

SECRET: Final = "a secret of the soak's own"
MAX_CACHE: Final = 8 * 1024 * 1024
_HOT: Final = 8
_MAX_COLD: Final = 300
_FILE_SIZES: Final = (2_000, 400_000)


class Shelf:
    """The upstream's files. There are more than the cache holds, so that what was hot for a while is cold again."""

    def __init__(self, index: ThreadedFakeIndex, random: Random) -> None:
        self._index = index
        self._random = random
        self._lock = threading.Lock()
        self._cold: list[File] = []
        self._hot = [self._add(f"hot-{number}") for number in range(_HOT)]

    def hot(self, random: Random) -> File:
        return random.choice(self._hot)

    def cold(self, random: Random) -> File:
        """A file that nobody has asked for yet; when there are enough of them, one that was asked for long ago."""
        with self._lock:
            if len(self._cold) < _MAX_COLD:
                self._cold.append(self._add(f"cold-{len(self._cold)}"))
                return self._cold[-1]
            return random.choice(self._cold)

    def _add(self, name: str) -> File:
        return self._index.add_wheel(name, "1.0", size_padding=self._random.randint(*_FILE_SIZES))


class Ledger:
    """Bytes that were ever published: what the blobs hold beyond them is the cache's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.published = 0

    def add(self, built: BuiltFile) -> None:
        with self._lock:
            self.published += len(built.data) + len(built.metadata)


def config_text(index: ThreadedFakeIndex, *, page_ttl: str) -> str:
    """A config with short times and a small cache."""
    upstream = forwards_to(index)
    limits = {"page_timeout": "2s", "read_timeout": "2s", "connect_timeout": "1s"}
    cache = {"max_size": f"{MAX_CACHE}B", "page_ttl": page_ttl, "negative_ttl": "1s"}
    return "\n".join(
        [
            upstream + _keys(limits),
            "[cache]",
            _keys(cache),
            '[access]\nanonymous = "publish"',
            '[log]\nlevel = "error"\naccess = false',
            "[[tokens]]",
            _keys({"name": "operator", "kind": "personal", "sha256": hashlib.sha256(SECRET.encode()).hexdigest()}),
            'scopes = ["api"]\naccess = { "default" = "owner" }',
        ]
    )


def _keys(values: dict[str, str]) -> str:
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
