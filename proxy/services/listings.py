"""What a caller may see of a name through a scope: the decision, carried out against the store and the upstreams.

Pages render a listing, files are found in one: what a page does not list is not served, on any route.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
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
from proxy.services.cached_pages import PageKey
from proxy.services.grounds import Grounds

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
    from proxy.services.cached_pages import CachedPage
    from proxy.services.local_memory import LocalRows
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


class ListedFile(NamedTuple):
    """`grounds` tell as long as they stand that the same caller's page would list it; None where more counted."""

    file: FoundFile
    grounds: Grounds | None


class ListedNames(NamedTuple):
    names: tuple[ProjectName, ...]
    grounds: Grounds


class Elsewhere(NamedTuple):
    """Forwarding by redirect (GitLab's): the caller is to ask the upstream itself, at this page."""

    url: str


@dataclass(frozen=True)
class Listing:
    """The files of one name that one caller may have, where they come from, and what that stands on."""

    name: ProjectName
    local: tuple[LocalFile, ...]
    local_status: ProjectStatus | None
    forwarded: Forwarded | None
    cache_status: CacheStatus
    grounds: Grounds
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

    def judged_at(self, now: datetime) -> Grounds:
        """The grounds of what is found or shown at this time, which counts where a rule asks for it."""
        return (
            replace(self.grounds, minute=now)
            if self.forwarded and self.forwarded.rules.group.min_age
            else self.grounds
        )

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
    """`timer` gives seconds of a clock that only goes forward."""

    def __init__(
        self,
        registry: Registry,
        store: LocalRows,
        pages: UpstreamPages,
        patience: timedelta = PATIENCE,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._store = store
        self._pages = pages
        self._patience = patience
        self._timer = timer

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
        rows = self._look()
        return await self._carry_out(await self._decide(caller, scope, name), name, ask, rows)

    async def find_file(
        self, caller: Principal, scope: Scope, name: ProjectName, sha256: Sha256, filename: Filename, now: datetime
    ) -> ListedFile | None:
        """The file that the listing has under this digest and name; raises what `get` raises.

        Trouble upstream keeps nobody from a file that is here: what was published is found without asking, and the
        last good page decides about what was cached.
        """
        rows = self._look()
        decision = await self._decide(caller, scope, name)
        if isinstance(decision, Merge):
            local = await self._local(decision.local.projects, name, rows)
            if found := local.find(sha256, filename, now):
                return ListedFile(found, rows)
        listing = await self._carry_out(decision, name, self._pages.get_last, rows)
        found = listing.find(sha256, filename, now) if isinstance(listing, Listing) else None
        return ListedFile(found, listing.judged_at(now)) if found and isinstance(listing, Listing) else None

    async def names(self, caller: Principal, scope: Scope) -> ListedNames:
        """The root index: local names in the projects that the caller may read; raises Refused."""
        if refused := policy.check_access(caller, Action.READ, scope):
            raise refused
        rows = self._look()
        readable = policy.readable_projects(self._registry, caller, scope)
        return ListedNames(tuple(await self._store.list_names(_ids(readable))), rows)

    def _look(self) -> Grounds:
        """What the rows that are read from now on stand on."""
        since = self._timer()
        return Grounds(self._store.generation(), since)

    async def _decide(self, caller: Principal, scope: Scope, name: ProjectName) -> Decision:
        return policy.decide(self._registry, caller, scope, name, await self.find_facts(scope, name))

    async def _carry_out(self, decision: Decision, name: ProjectName, ask: _Ask, rows: Grounds) -> Listing | Elsewhere:
        match decision:
            case Refuse(error):
                raise error
            case Local(projects):
                return await self._local(projects, name, rows)
            case Forward(redirects=True):
                return Elsewhere(f"{self._registry.upstreams[decision.upstreams[0]].url}{name}/")
            case Forward():
                upstream = await self._find_forwarded(decision, name, ask)
                if upstream is None:
                    raise NotFound(policy.PACKAGE_NOT_FOUND, rule=policy.Rule.UPSTREAMS)
                grounds = _grounds(rows, decision, name, upstream)
                return Listing(name, (), None, *upstream, grounds, decision.keeps_upstream_urls)
            case Merge(local, forward):
                upstream = await self._find_forwarded(forward, name, ask)
                return await self._local(local.projects, name, _grounds(rows, forward, name, upstream), upstream)
        assert_never(decision)

    async def _local(
        self, projects: tuple[Project, ...], name: ProjectName, grounds: Grounds, merged: _FromUpstream | None = None
    ) -> Listing:
        files = tuple(await self._store.list_files(_ids(projects), name))
        status = await self._store.find_status(_ids(projects), name)
        forwarded, source = merged or (None, cache_status.LOCAL)
        return Listing(name, files, status, forwarded, source, grounds)

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


def _grounds(rows: Grounds, decision: Forward, name: ProjectName, found: _FromUpstream | None) -> Grounds:
    """With what the upstreams said: the page of the first that has the project, and that those before it have none."""
    keys = [PageKey(upstream, name) for upstream in decision.upstreams]
    if found is None:
        return replace(rows, absent=tuple(keys))
    page = found[0].page
    key = PageKey(page.entry.upstream, name)
    return replace(rows, page=(key, page), absent=tuple(keys[: keys.index(key)]))


def first_refusal(refusals: Collection[Refused]) -> Refused:
    """The refusal that says most: to log in before that nothing is there."""
    return min(refusals, key=lambda refusal: isinstance(refusal, NotFound))


def _ids(projects: tuple[Project, ...]) -> tuple[int, ...]:
    return tuple(project.id for project in projects)


def _in_order(versions: Iterable[str]) -> tuple[str, ...]:
    """Each version once, in the order of PEP 440."""
    return tuple(sorted(set(versions), key=Version))
