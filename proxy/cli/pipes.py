"""What a parent and the processes that it forks have of each other: pipes, and signals that come as bytes."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from proxy.cli.running import STOPPING

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS: Final = (*STOPPING, signal.SIGHUP, signal.SIGCHLD)
"""What the parent goes by."""


@contextmanager
def heard_signals() -> Iterator[int]:
    """A descriptor that brings the numbers of `SIGNALS` as they come."""
    with pipe() as (heard, hear):
        os.set_blocking(hear, False)
        before = {each: signal.signal(each, lambda *_: None) for each in SIGNALS}
        signal.set_wakeup_fd(hear, warn_on_full_buffer=False)
        try:
            yield heard
        finally:
            signal.set_wakeup_fd(-1)
            for each, handler in before.items():
                signal.signal(each, handler)


def forget_signals() -> None:
    """In a forked process: its signals are none of the parent's."""
    signal.set_wakeup_fd(-1)
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Around a fork: what comes for the child waits until the child lets it through."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        let_signals_through()


def let_signals_through() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """The end to read from and the end to write to, for the block."""
    with ExitStack() as stack:
        ends = os.pipe()
        for end in ends:
            stack.callback(os.close, end)
        yield ends
