"""Closing a part where nothing can be removed any more."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from proxy.disk import open_blob_store


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def unlink(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "unlink", unlink)


@pytest.mark.usefixtures("read_only")
async def test_what_was_committed_is_no_trouble_and_is_held_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_blob_store(tmp_path) as blobs:
        part = await blobs.writer()
        await part.write(b"kept")
        blob = await part.commit()
        await part.close()
        assert blob.path.read_bytes() == b"kept"
        monkeypatch.undo()
        assert await blobs.delete(blob.sha256)


@pytest.mark.usefixtures("read_only")
async def test_what_was_not_is_left_to_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_blob_store(tmp_path) as blobs:
        part = await blobs.writer()
        await part.write(b"gone")
        await part.close()
        monkeypatch.undo()
        assert await blobs.sweep(datetime.now(UTC) + timedelta(seconds=1)) == 4
