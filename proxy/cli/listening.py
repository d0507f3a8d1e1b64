"""Where clients connect, and what is said of it."""

from __future__ import annotations

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
    by_address: list[list[socket.socket]] = []
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, _, _, _, address in dict.fromkeys(found):
        place = (address[0], port, *address[2:])
        with _bound(family, place) as alone:  # nobody else may have the port: to share it, all must have agreed
            port = port or alone.getsockname()[1]
            place = (address[0], port, *address[2:])
            if not SPREAD:
                by_address.append([stack.enter_context(alone.dup())] * count)
                continue
        by_address.append([stack.enter_context(_bound(family, place, shared=True)) for _ in range(count)])
    return list(zip(*by_address, strict=True))


def _bound(family: int, place: tuple[object, ...], *, shared: bool = False) -> socket.socket:
    """As asyncio binds its own."""
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
