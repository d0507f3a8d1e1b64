"""How many connections the process has descriptors for."""

from __future__ import annotations

import resource
from contextlib import suppress

WANTED = 10_240
"""Descriptors: as many as macOS lets a process have, and more than `MAX_CONNECTIONS` need."""
OWN = 128
"""What the database, blobs that are written, the event loop and a reload's second set of upstreams may take."""
MAX_CONNECTIONS = 4096
"""Bounded by memory then: each may hold a request head of 64 KiB and as much of an answer."""
MIN_CONNECTIONS = 16


def raise_limit() -> int:
    """Raise this process's limit as far as it may and needs; the descriptors that it can have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    with suppress(OSError, ValueError):  # macOS may grant less than its hard limit says
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def connections_within(descriptors: int, upstream_connections: int) -> int:
    """How many clients may be connected. Each takes a socket and, while it gets a file, that file."""
    left = descriptors - OWN - upstream_connections
    return min(max(left // 2, MIN_CONNECTIONS), MAX_CONNECTIONS)
