"""How far an upstream's links and redirects may reach: its own host and its `file_hosts`, over its scheme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from yarl import URL

if TYPE_CHECKING:
    from proxy.core.registry import Upstream


@dataclass(frozen=True, slots=True)
class Reach:
    """`text` is the reach as one string: pages remember by which reach their links were checked."""

    scheme: str
    hosts: frozenset[tuple[str, int | None]]

    @classmethod
    def of(cls, upstream: Upstream) -> Self:
        """The reach of one upstream. A host without a port means the port that its scheme has by default."""
        base = URL(upstream.url)
        named = [URL(f"{base.scheme}://{host}") for host in upstream.file_hosts]
        return cls(base.scheme, frozenset((url.host or "", url.port) for url in (base, *named)))

    @property
    def text(self) -> str:
        return f"{self.scheme} " + " ".join(sorted(f"{host}:{port}" for host, port in self.hosts))

    def allows(self, url: URL) -> bool:
        """Whether a link may be offered and followed; one with credentials in it never is."""
        return (
            url.scheme == self.scheme
            and (url.host or "", url.port) in self.hosts
            and url.user is None
            and url.password is None
        )
