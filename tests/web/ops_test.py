"""For operators: alive, and ready."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.builders import build_wheel
from tests.web.uploads import publish

if TYPE_CHECKING:
    from tests.fake_index import FakeIndex
    from tests.web.server import Server


@pytest.mark.parametrize("path", ["/-/health", "/-/liveness", "/-/readiness"])
async def test_a_sound_server_is_alive_and_ready_whatever_the_upstream_does(
    server: Server, index: FakeIndex, path: str
) -> None:
    await index.down()
    answer = await server.get(path)
    assert (answer.status, msgspec.json.decode(answer.body)) == (200, {"status": "ok"})
    assert answer.headers["Cache-Control"] == "no-store"
    assert (await server.head(path)).status == 200


@pytest.mark.parametrize("part", ["parts"])
async def test_readiness_names_the_part_that_failed(server: Server, part: str) -> None:
    shutil.rmtree(server.data_dir / part)
    answer = await server.get("/-/readiness")
    told = msgspec.json.decode(answer.body, type=dict[str, str])
    assert (answer.status, told["status"], set(told)) == (503, "failed", {"status", "blobs"})
    assert str(server.data_dir) not in answer.body.decode()
    assert answer.headers["Cache-Control"] == "no-store"
    for path in ("/-/health", "/-/liveness"):
        assert (await server.get(path)).status == 200


async def test_pages_go_on_where_nothing_can_be_written(server: Server, index: FakeIndex) -> None:
    own = build_wheel("own", "1.0")
    await publish(server, own)
    file = index.add_wheel("demo-pkg", "1.0")
    shutil.rmtree(server.data_dir / "parts")
    assert (await server.page("/simple/demo-pkg/")).filenames == [file.filename]
    assert (await server.get(f"/files/{own.sha256}/{own.filename}")).body == own.data
