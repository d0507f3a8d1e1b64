"""Where clients connect, and what is said of it."""

from __future__ import annotations

import errno
import socket
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

from proxy.cli.streams import say
from proxy.core.errors import SidecarError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Listener: TypeAlias = "tuple[socket.socket, ...]"
"""What one process listens on: a socket for each address of the host."""

SPREAD: Final = sys.platform == "linux"
"""Whether the kernel spreads connections over several sockets of one port; elsewhere one socket is shared, and whoever
is idle takes what comes. On Linux that would be the same process again and again: it takes all that wait at once.
"""


_NOT_HERE: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


class CannotListen(SidecarError):
    code = "cannot-listen"


def cannot_listen(host: str, port: int, error: OSError) -> CannotListen:
    return CannotListen(f"cannot listen on {host}:{port}: {error.strerror}; try another --host or --port")


def announce(host: str, port: int) -> None:
    """Tell that it answers now."""
    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    say(f"listening on {base}/", sys.stdout)  # the contract: this one line there
    say(f"pip install --index-url {base}/simple/ PACKAGE", sys.stderr)
    say(f"uv pip install --default-index {base}/simple/ PACKAGE", sys.stderr)


@contextmanager
def bound(host: str, port: int, count: int) -> Iterator[Sequence[Listener]]:
    """A listener for each of so many processes, all on one port (0: a free one); raises CannotListen.

    Nobody can connect before somebody listens on one of them.
    """
    with ExitStack() as stack:
        try:
            listeners = _bind(host, port, count, stack)
        except OSError as error:
            raise cannot_listen(host, port, error) from error
        yield listeners


def _bind(host: str, port: int, count: int, stack: ExitStack) -> Sequence[Listener]:
    """As asyncio does it, a family of addresses that this machine has not is passed over where it has another."""
    by_address: list[Sequence[socket.socket]] = []
    missing: OSError | None = None
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            listeners = _bind_address(family, (address[0], port, *address[2:]), count, stack)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            missing = error
        else:
            port = listeners[0].getsockname()[1]
            by_address.append(listeners)
    if missing and not by_address:
        raise missing
    return list(zip(*by_address, strict=True))


def _bind_address(family: int, place: tuple[object, ...], count: int, stack: ExitStack) -> Sequence[socket.socket]:
    """A socket for each process. Nobody else may have the port: of two servers that share one, each would lose."""
    with _bound(family, place) as alone:
        if not SPREAD:
            return [stack.enter_context(alone.dup())] * count
        place = alone.getsockname()
    return [stack.enter_context(_bound(family, place, shared=True)) for _ in range(count)]


def _bound(family: int, place: tuple[object, ...], *, shared: bool = False) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(place)
    except OSError:
        listener.close()
        raise
    return listener
