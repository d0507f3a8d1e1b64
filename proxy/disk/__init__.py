"""The data directory: blobs and parts as files, and the lock that keeps a second server out.

    blobs/ab/cdef...  blobs, named by sha256; without extension, since aiohttp sends `name.gz` for `name` where it can
    parts/<random>    what is not committed; on the same file system, so that a rename commits
    parts/<sha256>.<length>.<random>    the same, shown to the other workers
    quarantine/       blobs whose bytes turned out to be wrong, by sha256
    lock              held by the running server, its pid within
    reserve/0, 1...   room that is given up when the disk is full

Directories are 0700 and files 0600: private distributions lie here, and nobody but the server's account reads them.
"""

from proxy.disk.blobs import DiskBlobStore, open_blob_store
from proxy.disk.flights import open_flights
from proxy.disk.lock import hold_data_dir, make_data_dir
from proxy.disk.reserve import give_up_reserve, lay_in_reserve

__all__ = [
    "DiskBlobStore",
    "give_up_reserve",
    "hold_data_dir",
    "lay_in_reserve",
    "make_data_dir",
    "open_blob_store",
    "open_flights",
]
