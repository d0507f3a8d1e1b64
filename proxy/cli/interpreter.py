"""How the interpreter is to run a server."""

from __future__ import annotations

import ctypes
import gc
import sys

SWITCH_INTERVAL = 0.001
"""Seconds for which a thread that parses or renders a large page keeps the interpreter from the loop; each request
waits for it some times. Python's default is 5 ms, and less than 1 ms costs more than it gains."""


_MALLOC = {
    -3: 256
    * 1024,  # M_MMAP_THRESHOLD: blocks of so many bytes are the system's own, and go back to it when they are freed
    -8: 1,  # M_ARENA_MAX: what one thread frees, another takes again; the interpreter lets one run at a time anyway
}
"""Options of glibc's mallopt(3)."""


def give_memory_back() -> None:
    """Let what a large page took go back to the system with it, where the C library is glibc.

    Left alone, glibc keeps blocks of up to 32 MB for itself once it has seen one, for each thread apart and in pieces
    that fit no other use. To be called before there are threads.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in _MALLOC.items():
            mallopt(option, value)


def settle() -> None:
    """To be called when all is imported and open.

    What is there now stays until the end, so collections need not look at it again: that would stop all for 20 ms.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.collect()
    gc.freeze()
