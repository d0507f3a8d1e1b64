"""How the interpreter is to run a server."""

from __future__ import annotations

import gc
import sys

SWITCH_INTERVAL = 0.001
"""Seconds for which a thread that parses or renders a large page keeps the interpreter from the loop; each request
waits for it some times. Python's default is 5 ms, and less than 1 ms costs more than it gains."""


def settle() -> None:
    """To be called when all is imported and open.

    What is there now stays until the end, so collections need not look at it again: that would stop all for 20 ms.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.collect()
    gc.freeze()
