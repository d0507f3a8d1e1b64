"""Pages that are well formed and not the newest truth. Both damage JSON pages; of an HTML page only the headers."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.fake_index.faults import Rewrite

if TYPE_CHECKING:
    from tests.fake_index.exchange import Answer, Ask

_SERIAL = "X-PyPI-Last-Serial"


@dataclass(frozen=True)
class OlderPage(Rewrite):
    """What a cache on the way still holds: a serial lower by `behind`, without the newest file."""

    behind: int = 1

    def rewrite(self, ask: Ask, answer: Answer) -> Answer:  # noqa: ARG002 - for any request
        if _SERIAL not in answer.headers:
            return answer
        serial = int(answer.headers[_SERIAL]) - self.behind
        page = _decoded(answer)
        page["meta"] = {"api-version": "1.4", "_last-serial": serial}
        shown = _encoded(_with_files(page, -1), answer)
        return replace(shown, headers={**shown.headers, _SERIAL: str(serial), "ETag": f'"serial-{serial}"'})


@dataclass(frozen=True)
class ShorterPage(Rewrite):
    """The first `keep` files of the page under the same serial: the others were removed."""

    keep: int = 0

    def rewrite(self, ask: Ask, answer: Answer) -> Answer:  # noqa: ARG002 - for any request
        if _SERIAL not in answer.headers:
            return answer
        shown = _encoded(_with_files(_decoded(answer), self.keep), answer)
        return replace(shown, headers={**shown.headers, "ETag": f'"first-{self.keep}"'})


def _with_files(page: dict[str, object], stop: int) -> dict[str, object]:
    files = page["files"]
    assert isinstance(files, list)
    return {**page, "files": files[:stop]}


def _decoded(answer: Answer) -> dict[str, object]:
    zipped = answer.headers.get("Content-Encoding") == "gzip"
    page: dict[str, object] = json.loads(gzip.decompress(answer.body) if zipped else answer.body)
    return page


def _encoded(page: dict[str, object], answer: Answer) -> Answer:
    """The answer with this page in place of its own, plain."""
    headers = {name: value for name, value in answer.headers.items() if name != "Content-Encoding"}
    return replace(answer, headers=headers, body=json.dumps(page).encode())
