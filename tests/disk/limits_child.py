"""Writes to the store in DATA_DIR until there is no room, then shows that it goes on.

Run as `limits_child.py DATA_DIR [LIMIT]`; no file may grow past LIMIT bytes. Prints the name of the error, the bytes
that the part then had, and how many of its files are left in parts/ after it was closed.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from proxy.core.errors import StorageTrouble
from proxy.disk import open_blob_store

CHUNK = b"0123456789abcdef" * 4096


async def fill(data_dir: Path) -> None:
    async with open_blob_store(data_dir) as blobs:
        small = await blobs.writer()
        await small.write(b"kept")
        full = await blobs.writer()
        error = ""
        while not error:
            try:
                await full.write(CHUNK)
            except StorageTrouble as trouble:
                error = type(trouble).__name__
        size = full.size
        assert await full.read(size - len(CHUNK), 2 * len(CHUNK)) == CHUNK
        await full.close()
        left = len(list((data_dir / "parts").iterdir())) - 1
        assert (await small.commit()).path.read_bytes() == b"kept"
        await small.close()
        await blobs.probe()
        sys.stdout.write(f"{error} {size} {left}\n")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
    asyncio.run(fill(Path(sys.argv[1])))
