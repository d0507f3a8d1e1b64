"""The data directory: blobs and parts as files, and the lock that keeps a second server out.

    blobs/ab/cdef...  blobs, named by sha256; without extension, since aiohttp sends `name.gz` for `name` where it can
    parts/<random>    what is not committed; on the same file system, so that a rename commits
    lock              held by the running server, its pid within

Directories are 0700 and files 0600: private distributions lie here, and nobody but the server's account reads them.
"""

from proxy.disk.blobs import DiskBlobStore, open_blob_store
from proxy.disk.lock import hold_data_dir, make_data_dir

__all__ = ["DiskBlobStore", "hold_data_dir", "make_data_dir", "open_blob_store"]
