"""The least that aiohttp does: whole answers from memory, files by FileResponse. `aiohttp_app.py PORT PAGES FILES`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPE = "application/vnd.pypi.simple.v1+json"


def build(pages: Path, files: Path) -> web.Application:
    """Pages are `NAME/index.json` with `NAME/index.json.gz`, read once."""
    plain = {path.parent.name: path.read_bytes() for path in pages.glob("*/index.json")}
    packed = {path.parent.name: path.read_bytes() for path in pages.glob("*/index.json.gz")}

    async def page(request: web.Request) -> web.Response:
        return _answer(request, plain, packed)

    async def file(request: web.Request) -> web.FileResponse:
        return web.FileResponse(files / request.match_info["path"])

    app = web.Application()
    app.add_routes([web.get("/simple/{name}/", page), web.get("/files/bench/{path}", file)])
    return app


def _answer(request: web.Request, plain: Mapping[str, bytes], packed: Mapping[str, bytes]) -> web.Response:
    name = request.match_info["name"]
    etag = f'"{name}"'
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers={"ETag": etag})
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers = {"Content-Type": _TYPE, "ETag": etag, "Content-Encoding": "gzip"}
        return web.Response(body=packed[name], headers=headers)
    return web.Response(body=plain[name], headers={"Content-Type": _TYPE, "ETag": etag})


if __name__ == "__main__":
    web.run_app(
        build(Path(sys.argv[2]), Path(sys.argv[3])),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=None,
    )
