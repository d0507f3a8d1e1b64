from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Links = Literal["absolute", "relative", "base"]


@dataclass(frozen=True)
class Dialect:
    """How this index speaks; replace it at any time (`index.dialect = POOR`).

    `json`: answers JSON v1 to who asks for it, otherwise only text/html. `rich`: pages carry requires-python's newer
    neighbours (size, upload-time, versions, core-metadata, provenance, project status). `etags`: validators and 304.
    `links`: on the file host, on the index's own host, or relative to a `<base>`. `max_age`: seconds for pages.
    """

    json: bool = True
    rich: bool = True
    etags: bool = True
    gzip: bool = True
    ranges: bool = True
    links: Links = "absolute"
    max_age: int | None = 600


PYPI = Dialect()
POOR = Dialect(json=False, rich=False, etags=False, gzip=False, links="relative", max_age=None)
