"""What handlers reach: the services of the running configuration, and the keys that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from proxy.core.credentials import Identity

if TYPE_CHECKING:
    from proxy.core.access import Anonymous
    from proxy.core.addresses import Network
    from proxy.core.policy import Scope
    from proxy.core.registry import Project, Registry
    from proxy.services.cache_gauge import CacheGauge
    from proxy.services.cache_uses import CacheUses
    from proxy.services.download_times import DownloadTimes
    from proxy.services.files import Files
    from proxy.services.grounds import Recall
    from proxy.services.guesses import Guesses
    from proxy.services.meters import Meters
    from proxy.services.packages import Packages
    from proxy.services.pages import Pages
    from proxy.services.publish import Publisher
    from proxy.services.readiness import Readiness
    from proxy.services.tokens import Tokens


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What an anonymous caller may do. `anonymous` None means unset: open to this machine, reading for all others.

    `open_to_this_machine`: the server is bound to loopback and stands behind nothing that the config names; it counts
    until the data directory has known a token. `hosts` are the names by which a server may be called that anybody
    may publish to, besides those of loopback; `any_address` adds every IP address, for one that is bound to all.
    """

    anonymous: Anonymous | None
    open_to_this_machine: bool
    hosts: frozenset[str] = frozenset()
    any_address: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """The services of one configuration; a reload makes another."""

    registry: Registry
    default_group: str
    default_project: str
    external_url: str
    access_log: bool
    access: AccessRules
    trusted_proxies: tuple[Network, ...]
    tokens: Tokens
    guesses: Guesses
    pages: Pages
    files: Files
    recall: Recall
    publisher: Publisher
    packages: Packages
    download_times: DownloadTimes
    cache_uses: CacheUses
    readiness: Readiness
    meters: Meters
    cache_gauge: CacheGauge

    @property
    def short_scope(self) -> Scope | None:
        """The group that the short routes read from."""
        return self.registry.find_group(self.default_group)

    @property
    def short_project(self) -> Project | None:
        """The project that the short routes publish into."""
        return self.registry.find_project(self.default_project)


class Current:
    """Holds the site that requests begin with; a reload puts another in its place."""

    site: Site


CURRENT = web.AppKey("current", Current)
BROKEN_OFF = web.RequestKey("broken_off", bool)
"""Set where the answer was begun and could not be finished."""
SITE = web.RequestKey("site", Site)
"""The site of one request, the same from its first to its last line."""
BEARS_SECRET = web.RequestKey("bears_secret", bool)
"""Set where the request bears what may be a token's secret."""
IDENTITY = web.RequestKey("identity", Identity)
"""Whom the credentials of one request were recognised as."""
