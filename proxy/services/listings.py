"""What a caller may see of a name through a scope: the decision, carried out against the store and the upstreams.

Pages render a listing, files are found in one: what a page does not list is not served, on any route.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, assert_never

from packaging.version import Version

from proxy.core import cache_status, policy
from proxy.core.access import Action
from proxy.core.distributions import version_of
from proxy.core.errors import NotFound, Refused, UpstreamTrouble
from proxy.core.model import ProjectDetail, ProjectStatus, Status
from proxy.core.packed import pack, revise
from proxy.core.policy import Decision, FileRules, Forward, Local, LocalFacts, Merge, Refuse, Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable
    from datetime import datetime

    from proxy.core.access import Principal
    from proxy.core.cache_status import CacheStatus
    from proxy.core.digests import Sha256
    from proxy.core.local import LocalFile
    from proxy.core.model import File
    from proxy.core.names import Filename, ProjectName
    from proxy.core.registry import Project, Registry
    from proxy.ports import LocalStore
    from proxy.services.cached_pages import CachedPage
    from proxy.services.upstream_pages import Seen, UpstreamPages

    _Ask: TypeAlias = Callable[[str, ProjectName], Awaitable[Seen]]
    _FromUpstream: TypeAlias = tuple["Forwarded", CacheStatus]


PATIENCE = timedelta(seconds=9.5)
"""For all upstreams that are asked for one name: an error is due within 10 s."""


class Forwarded(NamedTuple):
    """An upstream's page and the rules by which its files are shown."""

    page: CachedPage
    rules: FileRules


class UpstreamFile(NamedTuple):
    """A listed file that an upstream has. `core_metadata` is the digest of what was read out of it here, if it was."""

    upstream: str
    project: ProjectName
    file: File
    core_metadata: Sha256 | None = None


FoundFile: TypeAlias = "LocalFile | UpstreamFile"


class Elsewhere(NamedTuple):
    """Forwarding by redirect (GitLab's): the caller is to ask the upstream itself, at this page."""

    url: str


@dataclass(frozen=True)
class Listing:
    """The files of one name that one caller may have, and where they come from."""

    name: ProjectName
    local: tuple[LocalFile, ...]
    local_status: ProjectStatus | None
    forwarded: Forwarded | None
    cache_status: CacheStatus
    keeps_upstream_urls: bool = False

    def find(self, sha256: Sha256, filename: Filename, now: datetime) -> FoundFile | None:
        """The file that is listed under this digest and name."""
        for file in self._shown_local():
            if (file.filename, file.digests.sha256) == (filename, sha256):
                return file
        if self.forwarded is None or filename in self._local_names():
            return None
        page, rules = self.forwarded
        found = page.find(sha256, filename)
        if found is None or policy.hides(rules, found, now):
            return None
        return UpstreamFile(page.entry.upstream, self.name, found, page.core_metadata.get(sha256))

    def detail(self, now: datetime) -> ProjectDetail:
        """The page, as this caller gets it."""
        local = [file.listed() for file in self._shown_local()]
        if self.forwarded is None:
            status = self.local_status or ProjectStatus()
            return ProjectDetail(self.name, tuple(local), self._local_versions(), status)
        page, rules = self.forwarded
        upstream = page.entry.detail
        files = upstream.files if self.keeps_upstream_urls else page.files
        taken = self._local_names()
        if not taken and not policy.may_hide(rules):
            return ProjectDetail(self.name, files, upstream.versions, upstream.status)
        shown = revise(files, lambda file: None if file.filename in taken or policy.hides(rules, file, now) else file)
        if not local and len(shown) == len(files):
            return ProjectDetail(self.name, shown, upstream.versions, upstream.status)
        versions = [str(version) for file in shown if (version := version_of(file.filename, self.name))]
        status = self.local_status or upstream.status
        return ProjectDetail(
            self.name, pack(chain(local, shown)), _in_order((*self._local_versions(), *versions)), status
        )

    def _local_versions(self) -> tuple[str, ...]:
        return _in_order(str(Version(file.version)) for file in self._shown_local())

    def _shown_local(self) -> tuple[LocalFile, ...]:
        """A quarantined project offers no files (PEP 792)."""
        hidden = self.local_status is not None and self.local_status.status is Status.QUARANTINED
        return () if hidden else self.local

    def _local_names(self) -> frozenset[str]:
        """Names that a local file holds: in a merge, it shadows the upstream's."""
        return frozenset(file.filename for file in self.local)


class Listings:
    def __init__(
        self, registry: Registry, store: LocalStore, pages: UpstreamPages, patience: timedelta = PATIENCE
    ) -> None:
        self._registry = registry
        self._store = store
        self._pages = pages
        self._patience = patience

    async def find_facts(self, scope: Scope, name: ProjectName) -> LocalFacts:
        root = self._registry.root_of(scope)
        return await self._store.find_facts(root.id, _ids(self._registry.projects_of(root)), name)

    async def get(
        self, caller: Principal, scope: Scope, name: ProjectName, *, fetches: bool = True
    ) -> Listing | Elsewhere:
        """The listing; raises Refused as the policy says, UpstreamTrouble where an upstream cannot be asked.

        Where it `fetches` no page, it raises Unfetched for what only one that is not here would tell.
        """
        ask = self._pages.get if fetches else self._pages.look
        return await self._carry_out(await self._decide(caller, scope, name), name, ask)

    async def find_file(
        self, caller: Principal, scope: Scope, name: ProjectName, sha256: Sha256, filename: Filename, now: datetime
    ) -> FoundFile | None:
        """The file that the listing has under this digest and name; raises what `get` raises.

        Trouble upstream keeps nobody from a file that is here: what was published is found without asking, and the
        last good page decides about what was cached.
        """
        decision = await self._decide(caller, scope, name)
        if isinstance(decision, Merge):
            local = await self._local(decision.local.projects, name)
            if found := local.find(sha256, filename, now):
                return found
        listing = await self._carry_out(decision, name, self._pages.get_last)
        return listing.find(sha256, filename, now) if isinstance(listing, Listing) else None

    async def names(self, caller: Principal, scope: Scope) -> tuple[ProjectName, ...]:
        """The root index: local names in the projects that the caller may read; raises Refused."""
        if refused := policy.check_access(caller, Action.READ, scope):
            raise refused
        readable = policy.readable_projects(self._registry, caller, scope)
        return tuple(await self._store.list_names(_ids(readable)))

    async def _decide(self, caller: Principal, scope: Scope, name: ProjectName) -> Decision:
        return policy.decide(self._registry, caller, scope, name, await self.find_facts(scope, name))

    async def _carry_out(self, decision: Decision, name: ProjectName, ask: _Ask) -> Listing | Elsewhere:
        match decision:
            case Refuse(error):
                raise error
            case Local(projects):
                return await self._local(projects, name)
            case Forward(redirects=True):
                return Elsewhere(f"{self._registry.upstreams[decision.upstreams[0]].url}{name}/")
            case Forward():
                upstream = await self._find_forwarded(decision, name, ask)
                if upstream is None:
                    raise NotFound(policy.PACKAGE_NOT_FOUND, rule=policy.Rule.UPSTREAMS)
                return Listing(name, (), None, *upstream, decision.keeps_upstream_urls)
            case Merge(local, forward):
                return await self._local(local.projects, name, await self._find_forwarded(forward, name, ask))
        assert_never(decision)

    async def _local(
        self, projects: tuple[Project, ...], name: ProjectName, merged: _FromUpstream | None = None
    ) -> Listing:
        files = tuple(await self._store.list_files(_ids(projects), name))
        status = await self._store.find_status(_ids(projects), name)
        forwarded, source = merged or (None, cache_status.LOCAL)
        return Listing(name, files, status, forwarded, source)

    async def _find_forwarded(self, decision: Forward, name: ProjectName, ask: _Ask) -> _FromUpstream | None:
        """What the upstreams have, within the patience of a client or the longest page timeout that the config gives.

        Raises UpstreamTrouble.
        """
        timeouts = (self._registry.upstreams[upstream].page_timeout for upstream in decision.upstreams)
        try:
            async with asyncio.timeout(max((self._patience, *timeouts)).total_seconds()):
                return await _first_that_has(decision, name, ask)
        except TimeoutError as error:
            raise UpstreamTrouble(f"the upstreams did not send the page of {name} in time") from error


async def _first_that_has(decision: Forward, name: ProjectName, ask: _Ask) -> _FromUpstream | None:
    """The first upstream that has the project; trouble with one ends the search (UpstreamTrouble)."""
    for upstream in decision.upstreams:
        seen = await ask(upstream, name)
        if seen.page is not None:
            return Forwarded(seen.page, decision.rules), seen.status
    return None


def first_refusal(refusals: Collection[Refused]) -> Refused:
    """The refusal that says most: to log in before that nothing is there."""
    return min(refusals, key=lambda refusal: isinstance(refusal, NotFound))


def _ids(projects: tuple[Project, ...]) -> tuple[int, ...]:
    return tuple(project.id for project in projects)


def _in_order(versions: Iterable[str]) -> tuple[str, ...]:
    """Each version once, in the order of PEP 440."""
    return tuple(sorted(set(versions), key=Version))
