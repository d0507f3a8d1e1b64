"""How the interpreter is to run a server."""

from __future__ import annotations

import ctypes
import gc
import sys

SWITCH_INTERVAL = 0.001
"""Seconds for which a thread that parses or renders a large page keeps the interpreter from the loop; each request
waits for it some times. Python's default is 5 ms, and less than 1 ms costs more than it gains."""
COLLECT_AFTER = 10_000
"""Objects; hardly anything here refers to itself, and each collection goes through all that a thread is reading."""

# Options of glibc's mallopt(3), and their values.
_MMAP_THRESHOLD = (-3, 320 * 1024)
"""Blocks of so many bytes are the system's and go back to it. (What is read off a socket at once is smaller.)"""
_ARENA_MAX = (-8, 1)
"""What one thread frees, another takes again. The interpreter lets one run at a time anyway."""


def give_memory_back() -> None:
    """Let what a large page took go back to the system with it, where the C library is glibc.

    Left alone, glibc keeps blocks of up to 32 MB for itself once it has seen one, for each thread apart and in pieces
    that fit no other use. To be called before there are threads.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(*_MMAP_THRESHOLD)
        mallopt(*_ARENA_MAX)


def settle() -> None:
    """To be called when all is imported and open.

    What is there now stays until the end, so collections need not look at it again: that would stop all for 20 ms.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
